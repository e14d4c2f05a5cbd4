"""What helper processes use of a core, by Linux's account of their threads (proc(5)). Elsewhere nobody tells."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_UTIME, _STIME = 11, 12
"""Their places after the name, which may hold anything, blanks and parentheses too."""


class _Account(NamedTuple):
    at: float
    used_ticks: dict[Path, int]
    """Of each thread, since it began."""


class HelperLoad:
    """`helper_pids` tells which processes run now."""

    def __init__(self, helper_pids: Callable[[], Iterable[int]], proc: Path = Path("/proc")) -> None:
        self._helper_pids = helper_pids
        self._proc = proc
        self._last = _Account(0.0, {})

    def share(self) -> float:
        """What the busiest of all their threads used of a core since this was last asked.

        One thread does a helper's work; where a library spreads it over several, these work at the same time.
        """
        last, self._last = self._last, _Account(time.monotonic(), dict(self._threads()))
        ticks = [used - last.used_ticks.get(thread, used) for thread, used in self._last.used_ticks.items()]
        return max(ticks, default=0) / _TICKS_PER_S / (self._last.at - last.at)

    def _threads(self) -> Iterator[tuple[Path, int]]:
        for pid in self._helper_pids():
            for stat in (self._proc / str(pid)).glob("task/*/stat"):
                try:
                    fields = stat.read_text(errors="replace").rpartition(")")[2].split()
                except OSError:
                    continue  # it has just ended
                yield stat, int(fields[_UTIME]) + int(fields[_STIME])
