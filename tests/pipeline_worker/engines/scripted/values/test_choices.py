import pytest

from pipeline_worker.engines.scripted.values import choices
from tests.pipeline_worker.engines.scripted.values.finding import sure

PATTERNS = {"fish": choices.pattern_of(["fish", "sea food"]), "dish": choices.pattern_of(["dish", "dish of the day"])}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("Do you have FISH?", ["fish"]),
        ("sea food", ["fish"]),
        ("two fishes", ["fish"]),
        ("which dishes", ["dish"]),
        ("a dish with fish", ["fish", "dish"]),
        ("a fisherman", []),
        ("selfish", []),
    ],
)
def test_one_of_several_things_by_any_of_its_words(text: str, chosen: list[str]) -> None:
    assert sorted(sure(choices.find(text, PATTERNS))) == sorted(chosen)


def test_the_longest_of_its_words_counts() -> None:
    (found,) = choices.find("the dish of the day", PATTERNS)
    assert (found.start, found.end) == (4, 19)
