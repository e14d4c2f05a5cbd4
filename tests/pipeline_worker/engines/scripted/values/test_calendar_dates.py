"""Today is Wednesday, 2 December 2026."""

from datetime import date

import pytest

from pipeline_worker.engines.scripted.values import calendar_dates
from tests.pipeline_worker.engines.scripted.values.finding import bare, figures, sure

TODAY = date(2026, 12, 2)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", "2026-12-02"),
        ("tonight", "2026-12-02"),
        ("this evening", "2026-12-02"),
        ("tomorrow", "2026-12-03"),
        ("tomorrow night", "2026-12-03"),
        ("the day after tomorrow", "2026-12-04"),
        ("in three days", "2026-12-05"),
        ("in two weeks", "2026-12-16"),
        ("a week today", "2026-12-09"),
        ("a week from tomorrow", "2026-12-10"),
        ("a fortnight from today", "2026-12-16"),
        ("on Friday", "2026-12-04"),
        ("Friday evening", "2026-12-04"),
        ("this Friday", "2026-12-04"),
        ("next Friday", "2026-12-11"),
        ("Friday next week", "2026-12-11"),
        ("Friday week", "2026-12-11"),
        ("next Monday", "2026-12-07"),
        ("on Wednesday", "2026-12-09"),
        ("this Wednesday", "2026-12-02"),
        ("the 20th", "2026-12-20"),
        ("the twentieth", "2026-12-20"),
        ("the first", "2027-01-01"),
        ("the 3rd of May", "2027-05-03"),
        ("December 12th", "2026-12-12"),
        ("December the twelfth", "2026-12-12"),
        ("5 January", "2027-01-05"),
        ("5th of January 2028", "2028-01-05"),
        ("12/24", "2026-12-24"),
        ("24.12.", "2026-12-24"),
        ("2026-12-24", "2026-12-24"),
        ("Christmas Eve", "2026-12-24"),
        ("the night before Christmas Eve", "2026-12-23"),
        ("New Year's Eve", "2026-12-31"),
        ("New Year's Day", "2027-01-01"),
        ("the 29th of February", "2028-02-29"),
    ],
)
def test_a_day(text: str, day: str) -> None:
    assert [str(one) for one in sure(calendar_dates.find(figures(text), TODAY))] == [day]


@pytest.mark.parametrize(
    "text",
    ["may I come", "in the evening", "a table for four", "February 30th", "on the 3rd floor", "the sun is shining", ""],
)
def test_no_day(text: str) -> None:
    assert sure(calendar_dates.find(figures(text), TODAY)) == []


def test_a_date_tells_more_than_the_day_of_the_week_beside_it() -> None:
    found = list(calendar_dates.find(figures("Friday the 11th"), TODAY))
    assert {one.value: one.explicit for one in found if one.sure} == {
        date(2026, 12, 4): False,
        date(2026, 12, 11): True,
    }


def test_a_bare_number_may_be_a_day_of_the_month() -> None:
    assert bare(calendar_dates.find("5", TODAY)) == [date(2026, 12, 5)]
    assert bare(calendar_dates.find("1", TODAY)) == [date(2027, 1, 1)]
    assert bare(calendar_dates.find("32", TODAY)) == []
