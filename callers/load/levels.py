"""The levels of load of a run: known from the beginning, or found by what was measured of those before."""

from collections.abc import Iterable
from typing import NamedTuple

from callers.load.knee import KneeSearch
from callers.load.results import Knee, Stage
from shared.errors import ConfigError


class Level(NamedTuple):
    """One of no duration is not measured."""

    callers: int
    hold_s: float
    """From when all callers have connected or given up."""


class FixedLevels:
    def __init__(self, levels: Iterable[Level]) -> None:
        self._left = list(levels)

    def next(self) -> Level | None:
        return self._left.pop(0) if self._left else None

    def take(self, stage: Stage) -> None:
        """Nothing depends on it."""

    @property
    def knee(self) -> Knee | None:
        return None


class KneeLevels:
    """Those by which a ramp finds the knee, with a rest after each bad one. Raises `ConfigError`."""

    def __init__(self, first: int, most: int, factor: float, hold_s: float) -> None:
        if first > most:
            raise ConfigError(f"a ramp from {first} callers to {most} at most: use --callers up to --most")
        self._search = KneeSearch(first, most, factor)
        self._hold_s = hold_s
        self._rested = False

    def next(self) -> Level | None:
        step = self._search.next_step
        if step is None:
            return None
        if step.rest is not None and not self._rested:
            self._rested = True
            return Level(step.rest, 0.0)
        self._rested = False
        return Level(step.callers, self._hold_s)

    def take(self, stage: Stage) -> None:
        if not self._rested:
            self._search.take(stage)

    @property
    def knee(self) -> Knee | None:
        return self._search.knee
