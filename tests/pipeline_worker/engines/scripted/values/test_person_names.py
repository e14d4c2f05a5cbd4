import pytest

from pipeline_worker.engines.scripted.values import person_names
from tests.pipeline_worker.engines.scripted.values.finding import sure


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My name is Anna Miller.", "Anna Miller"),
        ("my name is anna miller", "Anna Miller"),
        ("under the name of Schmidt, please", "Schmidt"),
        ("put it under Rossi", "Rossi"),
        ("This is O'Brien.", "O'Brien"),
        ("It's for Mr. Jones.", "Jones"),
        ("Delacroix is my name", "Delacroix"),
        ("a table for two, Friday, Miller.", "Miller"),
        ("The name's Ferreira.", "Ferreira"),
        ("My name is Jonathan Pryce-Jones.", "Jonathan Pryce-Jones"),
        ("My name is Anna van der Berg.", "Anna van der Berg"),
        ("My first name is Anna, my last name is Miller.", "Anna Miller"),
    ],
)
def test_a_name_that_is_announced(text: str, name: str) -> None:
    assert sure(person_names.find(text, asked=False)) == [name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Miller.", "Miller"),
        ("miller", "Miller"),
        ("It's Miller, please.", "Miller"),
        ("Yes, of course. Miller.", "Miller"),
        ("Ingrid Sørensen", "Ingrid Sørensen"),
    ],
)
def test_a_bare_name_when_it_was_asked_for(text: str, name: str) -> None:
    assert sure(person_names.find(text, asked=True)) == [name]
    if "," not in text:
        assert sure(person_names.find(text, asked=False)) == []


@pytest.mark.parametrize(
    "text",
    [
        "I don't understand.",
        "I'm hungry.",
        "It's Friday.",
        "This is great.",
        "A table for two people, please.",
        "The wrong name.",
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_no_name(text: str, asked: bool) -> None:
    assert sure(person_names.find(text, asked)) == []


def test_words_that_begin_like_an_announcement_announce_nothing() -> None:
    assert sure(person_names.find("Purple umbrellas never whistle underwater.", asked=False)) == []
