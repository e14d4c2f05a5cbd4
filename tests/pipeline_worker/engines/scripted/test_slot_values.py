"""Sentences to a small restaurant on Wednesday, 2 December 2026."""

from datetime import date
from typing import Any

import pytest

from pipeline_worker.engines.scripted.script import Script
from pipeline_worker.engines.scripted.slot_values import find_values, relative_changes
from tests.pipeline_worker.engines.scripted.scripts import RESTAURANT

TODAY = date(2026, 12, 2)
SLOTS = Script.model_validate(RESTAURANT).slots
FRIDAY, SATURDAY, SUNDAY = date(2026, 12, 4), date(2026, 12, 5), date(2026, 12, 6)
BOOKED = {"party_size": 2, "day": FRIDAY, "time": 19 * 60, "name": "Miller"}


@pytest.mark.parametrize(
    ("text", "values", "rest"),
    [
        ("A table for two on Friday at seven", {"party_size": 2, "day": FRIDAY, "time": 19 * 60}, "A"),
        ("For four, no, five people", {"party_size": 5}, ", no,"),
        ("not Friday, Saturday", {"day": SATURDAY}, "not ,"),
        ("from Friday to Saturday", {"day": SATURDAY}, "from to"),
        ("is there fish for two", {"party_size": 2, "diet": "fish"}, "is there fish"),
        ("on Sunday at one", {"day": SUNDAY, "time": 13 * 60}, ""),
        ("at one on Sunday", {"day": SUNDAY, "time": 13 * 60}, ""),
        ("when are you open", {}, "when are you open"),
        ("", {}, ""),
    ],
)
def test_values_and_what_is_left(text: str, values: dict[str, Any], rest: str) -> None:
    found = find_values(SLOTS, text, None, {}, TODAY)
    assert (dict(found.values), dict(found.rejected), found.rest) == (values, {}, rest)


@pytest.mark.parametrize(
    ("text", "values", "rejected"),
    [
        ("for twelve people on Friday", {"day": FRIDAY}, {"party_size": 12}),
        ("for two people on Monday", {"party_size": 2}, {"day": date(2026, 12, 7)}),
        ("for twelve, no, eight people", {"party_size": 8}, {}),
    ],
)
def test_values_beyond_the_limits(text: str, values: dict[str, Any], rejected: dict[str, Any]) -> None:
    found = find_values(SLOTS, text, None, {}, TODAY)
    assert (dict(found.values), dict(found.rejected)) == (values, rejected)


def test_a_time_is_read_within_the_limits_of_a_day_that_is_known() -> None:
    assert find_values(SLOTS, "at one", None, {"day": SUNDAY}, TODAY).values == {"time": 13 * 60}
    assert find_values(SLOTS, "at one", None, {"day": FRIDAY}, TODAY).rejected.keys() == {"time"}


@pytest.mark.parametrize(("asked", "values"), [("party_size", {"party_size": 7}), ("time", {"time": 19 * 60})])
def test_a_bare_number_belongs_to_what_was_asked_for(asked: str, values: dict[str, Any]) -> None:
    assert find_values(SLOTS, "seven", asked, {}, TODAY).values == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("two more people", {"party_size": 4}),
        ("an hour later", {"time": 20 * 60}),
        ("the day after", {"day": SATURDAY}),
        ("two people", {"party_size": 2}),
    ],
)
def test_changes_of_what_is_known(text: str, values: dict[str, Any]) -> None:
    assert find_values(SLOTS, text, None, BOOKED, TODAY).values == values


def test_a_change_beyond_the_limits_is_rejected() -> None:
    found = find_values(SLOTS, "seven more people", None, BOOKED, TODAY)
    assert (dict(found.values), dict(found.rejected)) == ({}, {"party_size": 9})


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("2 more people", {"party_size": 6}),
        ("1 person less", {"party_size": 3}),
        ("an hour later", {"time": 20 * 60}),
        ("half an hour earlier", {"time": 18 * 60 + 30}),
        ("30 minutes later please", {"time": 19 * 60 + 30}),
        ("the day after", {"day": date(2026, 12, 5)}),
        ("2 days earlier", {"day": date(2026, 12, 2)}),
        ("a week later", {"day": date(2026, 12, 11)}),
        ("An Hour Later and 1 more person", {"time": 20 * 60, "party_size": 5}),
        ("later", {}),
        ("4 people", {}),
    ],
)
def test_relative_changes(text: str, changed: dict[str, Any]) -> None:
    assert relative_changes(text, SLOTS, {**BOOKED, "party_size": 4}) == changed


def test_what_is_not_known_cannot_change() -> None:
    assert relative_changes("an hour later for 2 more people, the day after", SLOTS, {}) == {}
