"""Limits of values, and how they are spoken and compared. Today is Wednesday, 2 December 2026."""

from datetime import date
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline_worker.engines.scripted.slots import Slot
from pipeline_worker.engines.scripted.values.clock_times import ClockTime

TODAY = date(2026, 12, 2)
FRIDAY, SUNDAY, MONDAY = date(2026, 12, 4), date(2026, 12, 6), date(2026, 12, 7)
SEVEN = ClockTime((19 * 60, 7 * 60))
ONE = ClockTime((13 * 60, 1 * 60))
WINDOWS = [{"opens": "17:00", "closes": "21:30"}, {"opens": "12:00", "closes": "21:30", "days": ["sunday"]}]


def slot(**fields: Any) -> Slot:
    made: Slot = TypeAdapter(Slot).validate_python(fields)
    return made


@pytest.mark.parametrize(
    ("fields", "value", "known", "kept"),
    [
        ({"type": "people", "max": 8}, 8, {}, 8),
        ({"type": "people", "max": 8}, 9, {}, None),
        ({"type": "people", "min": 2}, 1, {}, None),
        ({"type": "number", "min": 1, "max": 5}, 6, {}, None),
        ({"type": "number", "digits": 4}, "0452", {}, "0452"),
        ({"type": "date", "closed": ["monday"]}, MONDAY, {}, None),
        ({"type": "date", "closed": ["monday"]}, FRIDAY, {}, FRIDAY),
        ({"type": "time"}, SEVEN, {}, 19 * 60),
        ({"type": "time", "windows": [{"opens": "06:00", "closes": "11:00"}]}, SEVEN, {}, 7 * 60),
        ({"type": "time", "windows": WINDOWS, "day": "day"}, ONE, {"day": FRIDAY}, None),
        ({"type": "time", "windows": WINDOWS, "day": "day"}, ONE, {"day": SUNDAY}, 13 * 60),
        ({"type": "time", "windows": WINDOWS, "day": "day"}, ONE, {}, 13 * 60),
        ({"type": "time", "windows": WINDOWS}, 21 * 60 + 30, {}, 21 * 60 + 30),
        ({"type": "time", "windows": WINDOWS}, 21 * 60 + 31, {}, None),
        ({"type": "name"}, "Miller", {}, "Miller"),
    ],
)
def test_limits(fields: dict[str, Any], value: Any, known: dict[str, Any], kept: Any) -> None:
    assert slot(**fields).read(value, known) == kept


@pytest.mark.parametrize(
    ("fields", "value", "said", "key"),
    [
        ({"type": "people"}, 1, "one person", "1"),
        ({"type": "people"}, 4, "4 people", "4"),
        ({"type": "number"}, 3, "3", "3"),
        ({"type": "number", "digits": 4}, "0452", "0 4 5 2", "0452"),
        ({"type": "date"}, TODAY, "today", "wednesday"),
        ({"type": "date"}, date(2026, 12, 3), "tomorrow", "thursday"),
        ({"type": "date"}, FRIDAY, "on Friday, December 4", "friday"),
        ({"type": "time"}, 19 * 60, "at 7 pm", "19:00"),
        ({"type": "time"}, 7 * 60 + 5, "at 7:05 am", "07:05"),
        ({"type": "time"}, 12 * 60, "at noon", "12:00"),
        ({"type": "time"}, 0, "at midnight", "00:00"),
        ({"type": "time"}, 12 * 60 + 30, "at 12:30 pm", "12:30"),
        ({"type": "time"}, 30, "at 12:30 am", "00:30"),
        ({"type": "time"}, SEVEN, "at 7 pm", "19:00"),
        ({"type": "name"}, "Anna Miller", "Anna Miller", "Anna Miller"),
        ({"type": "yes_no"}, "yes", "yes", "yes"),
        ({"type": "choice", "values": {"fish": ["fish"]}}, "fish", "fish", "fish"),
    ],
)
def test_a_value_as_it_is_spoken_and_compared(fields: dict[str, Any], value: Any, said: str, key: str) -> None:
    assert (slot(**fields).said(value, TODAY), slot(**fields).key(value)) == (said, key)


@pytest.mark.parametrize(
    ("kind", "name", "text", "is_named"),
    [
        ("time", "arrival", "The time is wrong.", True),
        ("time", "arrival", "the arrival", True),
        ("date", "day", "Another date, please.", True),
        ("people", "party_size", "the number of guests", True),
        ("people", "party_size", "The party is bigger.", True),
        ("name", "caller", "my surname", True),
        ("name", "caller", "sometimes", False),
        ("time", "arrival", "the day", False),
    ],
)
def test_whether_a_sentence_speaks_of_the_slot_itself(kind: str, name: str, text: str, is_named: bool) -> None:
    assert slot(type=kind).is_named_in(name, text) is is_named


def test_times_in_a_file_may_lack_quotes() -> None:
    """YAML 1.1 reads 17:30 as a number in base 60."""
    quoted = slot(type="time", windows=[{"opens": "17:30", "closes": "24:00"}])
    assert slot(type="time", windows=[{"opens": 17 * 60 + 30, "closes": 24 * 60}]) == quoted
