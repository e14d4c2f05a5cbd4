"""How many callers there should be, second by second. Pure: the engine brings the clock."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Self

from shared.errors import ConfigError

MOST_CALLERS = 100_000
MOST_ARRIVALS_PER_S = 1000.0


class Level(NamedTuple):
    """`hold_s` counts from when the last caller of the level is due."""

    callers: int
    hold_s: float


class Schedule:
    """Levels of load. From one to the next, callers come and go at `arrivals_per_s` at most.

    `call_s` is how long a caller talks before they hang up and somebody else calls; None: until the load falls.
    """

    def __init__(self, levels: Iterable[Level], arrivals_per_s: float, call_s: float | None = None) -> None:
        self.levels = tuple(levels)
        self.arrivals_per_s = arrivals_per_s
        self.call_s = call_s
        _check(self.levels, arrivals_per_s, call_s)
        self._starts = [0.0]
        """When each level begins to rise, and the end."""
        for before, level in pairwise((Level(0, 0.0), *self.levels)):
            self._starts.append(self._starts[-1] + self._change_s(before, level) + level.hold_s)

    @property
    def duration_s(self) -> float:
        return self._starts[-1]

    @property
    def most_callers(self) -> int:
        return max(level.callers for level in self.levels)

    def level_at(self, at_s: float) -> int | None:
        """The index of the level that is rising or held. None once the schedule is over."""
        return next((index for index, end_s in enumerate(self._starts[1:]) if at_s < end_s), None)

    def holds(self, at_s: float) -> bool:
        """Whether all callers of the level are due."""
        index = self.level_at(at_s)
        return index is not None and at_s >= self._starts[index + 1] - self.levels[index].hold_s

    def wanted(self, at_s: float) -> int:
        """0 once the schedule is over."""
        index = self.level_at(at_s)
        if index is None or at_s < 0:
            return 0
        before = self.levels[index - 1].callers if index else 0
        target = self.levels[index].callers
        moved = math.floor((at_s - self._starts[index]) * self.arrivals_per_s + 1e-9)
        return min(target, before + moved) if target >= before else max(target, before - moved)

    def then(self, *levels: Level) -> Self:
        """The same, and then these levels: for a load that depends on what was measured."""
        return type(self)((*self.levels, *levels), self.arrivals_per_s, self.call_s)

    def _change_s(self, before: Level, after: Level) -> float:
        return abs(after.callers - before.callers) / self.arrivals_per_s


def steady(callers: int, hold_s: float, arrivals_per_s: float, call_s: float | None = None) -> Schedule:
    return Schedule([Level(callers, hold_s)], arrivals_per_s, call_s)


def ramp(levels: Iterable[int], hold_s: float, arrivals_per_s: float) -> Schedule:
    return Schedule([Level(callers, hold_s) for callers in levels], arrivals_per_s)


def burst(usual: int, peak: int, hold_s: float, bursts: int, arrivals_per_s: float = 100.0) -> Schedule:
    """From `usual` to `peak` and back, `bursts` times. Each is held for `hold_s`."""
    return Schedule([Level(usual, hold_s), *[Level(peak, hold_s), Level(usual, hold_s)] * bursts], arrivals_per_s)


def soak(callers: int, hold_s: float, arrivals_per_s: float, call_s: float = 180.0) -> Schedule:
    """A long time at one level, where every caller hangs up after `call_s` and the next one calls."""
    return steady(callers, hold_s, arrivals_per_s, call_s)


def share(callers: int, index: int, processes: int) -> int:
    """How many of `callers` process `index` carries. Shares differ by one at most, and none falls when callers rise."""
    return callers // processes + (index < callers % processes)


def dealt(processes_per_host: Sequence[int]) -> list[tuple[int, int]]:
    """All processes as (host, process), dealt like cards: few callers still come from all hosts."""
    rounds = range(max(processes_per_host, default=0))
    return [(host, process) for process in rounds for host, count in enumerate(processes_per_host) if process < count]


def _check(levels: Sequence[Level], arrivals_per_s: float, call_s: float | None) -> None:
    if not levels:
        raise ConfigError("a schedule needs at least one level")
    if not 0 < arrivals_per_s <= MOST_ARRIVALS_PER_S:
        raise ConfigError(
            f"{arrivals_per_s:g} arrivals per second: use more than 0, and at most {MOST_ARRIVALS_PER_S:g}"
        )
    if call_s is not None and not call_s > 0:
        raise ConfigError(f"calls of {call_s:g} s: use more than 0")
    for level in levels:
        if not 0 <= level.callers <= MOST_CALLERS:
            raise ConfigError(f"{level.callers} callers: use 0 to {MOST_CALLERS}")
        if not (level.hold_s >= 0 and math.isfinite(level.hold_s)):
            raise ConfigError(f"a level of {level.hold_s:g} s: use 0 or more")
