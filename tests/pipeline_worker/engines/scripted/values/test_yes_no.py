import pytest

from pipeline_worker.engines.scripted.values import yes_no
from tests.pipeline_worker.engines.scripted.values.finding import sure


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Yes.", "yes"),
        ("Oh, yes, it is.", "yes"),
        ("Certainly", "yes"),
        ("No.", "no"),
        ("Um, no, it isn't.", "no"),
        ("Not really.", "no"),
        ("I don't think so", "no"),
    ],
)
def test_yes_or_no_when_it_was_asked_for(text: str, value: str) -> None:
    assert sure(yes_no.find(text, asked=True)) == [value]
    assert sure(yes_no.find(text, asked=False)) == []


@pytest.mark.parametrize("text", ["It has a motor.", "nothing special", "yesterday", "", "On Friday, yes"])
def test_neither(text: str) -> None:
    assert sure(yes_no.find(text, asked=True)) == []
