"""How a scenario went."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Failure(NamedTuple):
    """`where` is a step or the end; `expected` and `found` are for people."""

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
