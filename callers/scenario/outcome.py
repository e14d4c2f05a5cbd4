"""How a scenario went."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from callers.call_record import CallEvent, CallRecord

_LEFT_OUT = ("transcript-partial", "pong")


class Failure(NamedTuple):
    """`where` names a step or the end; `expected` and `found` are for people."""

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, but {self.found}"


class Figure(NamedTuple):
    """A time that was measured for an expectation, whether it held or not."""

    where: str
    what: str
    seconds: float
    most_s: float


class TimelineEntry(NamedTuple):
    """`at_s` counts from the connection."""

    at_s: float
    text: str


@dataclass
class Outcome:
    file: Path
    name: str
    failures: list[Failure] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    timeline: list[TimelineEntry] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.failures


def timeline(record: CallRecord) -> list[TimelineEntry]:
    """The actions, events and sounds of a call, in order, for a person to read."""
    entries = [(event.at_s, _line(event)) for event in record.entries if event.type not in _LEFT_OUT]
    entries += [(begin, f"agent    is heard for {end - begin:.2f} s") for begin, end in record.heard.spans()]
    return [TimelineEntry(at_s - record.began_s, text) for at_s, text in sorted(entries)]


def _line(event: CallEvent) -> str:
    fields = dict(event.fields)
    match event.type:
        case "":
            return f"caller   {fields['action']}"
        case "transcript":
            role, text = fields.pop("role", "?"), fields.pop("text", "")
            return f'heard    {role}: "{text}"{_rest(fields)}'
        case "status":
            return f"status   {fields.pop('status', '?')}{_rest(fields)}"
    return f"event    {event.type}{_rest(fields)}"


def _rest(fields: dict[str, object]) -> str:
    return f" {fields}" if fields else ""
