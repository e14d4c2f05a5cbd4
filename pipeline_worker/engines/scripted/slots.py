"""The slots of a script: their type, question and limits, and how values are spoken."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from pipeline_worker.engines.options import Options
from pipeline_worker.engines.scripted.values import (
    calendar_dates,
    choices,
    clock_times,
    numbers,
    party_sizes,
    person_names,
    yes_no,
)
from pipeline_worker.engines.scripted.values.calendar_dates import MONTHS, WEEKDAYS
from pipeline_worker.engines.scripted.values.clock_times import ClockTime
from pipeline_worker.engines.scripted.values.sentence import Found

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Known = Mapping[str, Any]
"""Values of slots by name, as their `read` returned them."""


class _Slot(Options):
    _called: ClassVar[tuple[str, ...]] = ()
    ask: str | None = Field(
        None, min_length=1, max_length=300, description="the question for it, if an intent needs it"
    )
    otherwise: str | None = Field(
        None, min_length=1, max_length=300, description="said of a value beyond the limits, in place of the question"
    )

    def find(self, text: str, asked: bool, today: date) -> Iterator[Found]:
        """The values in `text`, which has figures for numbers and keeps its capitals."""
        raise NotImplementedError

    def read(self, value: Any, known: Known) -> Any | None:
        """The value as it is kept; None if it is beyond the limits."""
        return value

    def said(self, value: Any, today: date) -> str:
        """The value as spoken in a reply."""
        return str(value)

    def key(self, value: Any) -> str:
        """The value as `if` in a reply names it."""
        return str(value)

    def keys(self) -> frozenset[str] | None:
        """All results of `key`; None if unlimited."""
        return None

    def is_named_in(self, name: str, text: str) -> bool:
        """Whether `text` names the slot itself: "the time is wrong"."""
        words = set(re.findall(r"[a-z]+", text.lower()))
        return bool(words & {*name.split("_"), *self._called})


class PeopleSlot(_Slot):
    _called: ClassVar[tuple[str, ...]] = ("people", "persons", "guests", "number")
    type: Literal["people"]
    min: int = Field(1, ge=1)
    max: int = Field(100, ge=1)

    def find(self, text: str, asked: bool, today: date) -> Iterator[Found]:
        return party_sizes.find(text.lower())

    def read(self, value: int, known: Known) -> int | None:
        return value if self.min <= value <= self.max else None

    def said(self, value: int, today: date) -> str:
        return "one person" if value == 1 else f"{value} people"


class NumberSlot(_Slot):
    """With `digits`, a number that is said digit by digit, such as an order number."""

    _called: ClassVar[tuple[str, ...]] = ("number",)
    type: Literal["number"]
    units: tuple[str, ...] = Field((), max_length=50, description="what is counted, such as nights")
    digits: int | None = Field(None, ge=2, le=20)
    min: int = 0
    max: int = Field(1_000_000_000, ge=0)

    def find(self, text: str, asked: bool, today: date) -> Iterator[Found]:
        return numbers.find_digits(text, self.digits) if self.digits else numbers.find(text, self.units)

    def read(self, value: int | str, known: Known) -> int | str | None:
        return value if isinstance(value, str) or self.min <= value <= self.max else None

    def said(self, value: int | str, today: date) -> str:
        return " ".join(value) if isinstance(value, str) else str(value)


class DateSlot(_Slot):
    _called: ClassVar[tuple[str, ...]] = ("day", "date")
    type: Literal["date"]
    closed: tuple[Weekday, ...] = Field((), max_length=6, description="days of the week that are beyond the limits")

    def find(self, text: str, asked: bool, today: date) -> Iterator[Found]:
        return calendar_dates.find(text.lower(), today)

    def read(self, value: date, known: Known) -> date | None:
        return None if WEEKDAYS[value.weekday()] in self.closed else value

    def said(self, value: date, today: date) -> str:
        if (ahead := (value - today).days) in (0, 1):
            return ("today", "tomorrow")[ahead]
        return f"on {WEEKDAYS[value.weekday()].title()}, {MONTHS[value.month - 1].title()} {value.day}"

    def key(self, value: date) -> str:
        return WEEKDAYS[value.weekday()]

    def keys(self) -> frozenset[str]:
        return frozenset(WEEKDAYS)


def _minutes(text: Any) -> Any:
    """ "17:30" as minutes after midnight, which YAML 1.1 does itself without quotes."""
    if not isinstance(text, str):
        return text
    hour, colon, minute = text.partition(":")
    if not (colon and hour.isdigit() and minute.isdigit() and int(hour) < 25 and int(minute) < 60):
        raise ValueError(f"{text!r} is no time of day: write it as '17:30'")
    return int(hour) * 60 + int(minute)


TimeOfDay = Annotated[int, BeforeValidator(_minutes), Field(ge=0, le=1440)]


class Window(Options):
    opens: TimeOfDay
    closes: TimeOfDay
    days: tuple[Weekday, ...] = Field((), description="the days it holds for; empty: all others")

    def __contains__(self, minutes: int) -> bool:
        return self.opens <= minutes <= self.closes


class TimeSlot(_Slot):
    _called: ClassVar[tuple[str, ...]] = ("time", "hour")
    type: Literal["time"]
    windows: tuple[Window, ...] = Field((), max_length=14)
    day: str | None = Field(None, description="the date slot that the windows' days refer to")

    def find(self, text: str, asked: bool, today: date) -> Iterator[Found]:
        return clock_times.find(text.lower())

    def read(self, value: ClockTime | int, known: Known) -> int | None:
        """An hour without am or pm is the one within the limits."""
        readings = (value,) if isinstance(value, int) else value.readings
        windows = self._windows_on(known.get(self.day or ""))
        if not windows:
            return readings[0]
        return next((one for one in readings if any(one in window for window in windows)), None)

    def said(self, value: ClockTime | int, today: date) -> str:
        value = value if isinstance(value, int) else value.readings[0]
        hour, minute = divmod(value, 60)
        if value in (0, 720):
            return "at noon" if value else "at midnight"
        clock = f"{(hour - 1) % 12 + 1}" + (f":{minute:02}" if minute else "")
        return f"at {clock} {'pm' if hour >= 12 else 'am'}"

    def key(self, value: ClockTime | int) -> str:
        value = value if isinstance(value, int) else value.readings[0]
        return f"{value // 60:02}:{value % 60:02}"

    def _windows_on(self, day: date | None) -> list[Window]:
        if day is None:
            return list(self.windows)
        weekday = WEEKDAYS[day.weekday()]
        return [w for w in self.windows if weekday in w.days] or [w for w in self.windows if not w.days]


class NameSlot(_Slot):
    _called: ClassVar[tuple[str, ...]] = ("name", "surname")
    type: Literal["name"]

    def find(self, text: str, asked: bool, today: date) -> Iterator[Found]:
        return person_names.find(text, asked)


class YesNoSlot(_Slot):
    type: Literal["yes_no"]

    def keys(self) -> frozenset[str]:
        return frozenset({"yes", "no"})

    def find(self, text: str, asked: bool, today: date) -> Iterator[Found]:
        return yes_no.find(text, asked)


class ChoiceSlot(_Slot):
    type: Literal["choice"]
    values: dict[str, tuple[str, ...]] = Field(min_length=1, description="how the agent says it: how callers say it")

    @field_validator("values")
    @classmethod
    def _has_words(cls, values: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for said, words in values.items():
            if not all(word.strip() for word in words):
                raise ValueError(f"'{said}' has an empty word: remove it")
        return values

    @cached_property
    def _patterns(self) -> dict[str, Any]:
        return {said: choices.pattern_of([said.replace("_", " "), *words]) for said, words in self.values.items()}

    def keys(self) -> frozenset[str]:
        return frozenset(self.values)

    def find(self, text: str, asked: bool, today: date) -> Iterator[Found]:
        return choices.find(text, self._patterns)


Slot = Annotated[
    PeopleSlot | NumberSlot | DateSlot | TimeSlot | NameSlot | YesNoSlot | ChoiceSlot, Field(discriminator="type")
]
