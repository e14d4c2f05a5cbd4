import pytest

from pipeline_worker.engines.scripted.values import party_sizes
from tests.pipeline_worker.engines.scripted.values.finding import bare, figures, sure


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("four people", 4),
        ("for two", 2),
        ("for two tonight at eight", 2),
        ("a table for nine", 9),
        ("a party of six", 6),
        ("there will be five of us", 5),
        ("we are eight", 8),
        ("just me", 1),
        ("I'm coming alone", 1),
        ("my wife and I", 2),
        ("me and my husband", 2),
        ("both of us", 2),
        ("me plus three others", 4),
        ("two adults and three kids", 5),
        ("two couples", 4),
        ("half a dozen", 6),
        ("a dozen people", 12),
        ("a couple", 2),
        ("twenty guests", 20),
        ("a family of five", 5),
    ],
)
def test_a_party(text: str, people: int) -> None:
    assert sure(party_sizes.find(figures(text))) == [people]


@pytest.mark.parametrize(
    "text",
    ["at seven", "for seven o'clock", "for 7 pm", "7:30", "the 4th", "in 3 days", "I have a couple of questions"],
)
def test_no_party(text: str) -> None:
    assert sure(party_sizes.find(figures(text))) == []


def test_a_bare_number_may_be_a_party() -> None:
    assert bare(party_sizes.find("4")) == [4]


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("two more people", 2),
        ("one more person", 1),
        ("an extra guest", 1),
        ("add another person", 1),
        ("one person less", -1),
        ("2 fewer", -2),
    ],
)
def test_more_or_fewer(text: str, change: int) -> None:
    assert party_sizes.find_change(figures(text)) == change


def test_no_change() -> None:
    assert party_sizes.find_change("for 4 people") is None
