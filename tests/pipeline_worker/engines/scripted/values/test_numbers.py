import pytest

from pipeline_worker.engines.scripted.values import numbers
from tests.pipeline_worker.engines.scripted.values.finding import bare, figures, sure


@pytest.mark.parametrize(
    ("text", "count"), [("three nights", 3), ("one night", 1), ("nights: 14", 14), ("the number of nights is 2", 2)]
)
def test_a_number_of_things(text: str, count: int) -> None:
    assert sure(numbers.find(figures(text), ["night"])) == [count]


def test_a_number_without_a_unit_is_not_sure() -> None:
    found = list(numbers.find(figures("three"), ["night"]))
    assert (sure(found), bare(found)) == ([], [3])
    assert bare(numbers.find("7:30", [])) == []


@pytest.mark.parametrize(
    ("text", "digits"), [("4521", ["4521"]), ("0 4 5 2", ["0452"]), ("45-21", ["4521"]), ("452", []), ("45210", [])]
)
def test_a_number_that_is_said_digit_by_digit(text: str, digits: list[str]) -> None:
    assert sure(numbers.find_digits(text, 4)) == digits
