"""Whether the host took the processors away: a guest's delays during such a time say nothing about the guest."""

import asyncio
import bisect
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

_INTERVAL_S = 0.1
_TOLERATED_SHARE = 0.01
_AROUND_S = 0.5


class StealWatch:
    """The kernel's own account of stolen time, sampled."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._stolen_s: list[float] = []

    def add(self, at_s: float, stolen: float) -> None:
        """The time that was stolen from the machine's start to `at_s`."""
        self._times_s.append(at_s)
        self._stolen_s.append(stolen)

    def share(self) -> float:
        """The share of all processors, over the whole watch."""
        if len(self._times_s) < 2:
            return 0.0
        elapsed = self._times_s[-1] - self._times_s[0]
        return (self._stolen_s[-1] - self._stolen_s[0]) / elapsed / (os.cpu_count() or 1)

    def quiet(self, at_s: float) -> bool:
        """Whether the machine was ours from half a second before to half a second after `at_s` (monotonic)."""
        if not self._times_s:
            return True
        first = max(0, bisect.bisect_right(self._times_s, at_s - _AROUND_S) - 1)
        last = min(len(self._times_s) - 1, bisect.bisect_left(self._times_s, at_s + _AROUND_S))
        elapsed = self._times_s[last] - self._times_s[first]
        stolen = self._stolen_s[last] - self._stolen_s[first]
        return stolen <= _TOLERATED_SHARE * elapsed * (os.cpu_count() or 1)

    def quiet_s(self, since_s: float) -> float:
        """How much of the time since `since_s` was quiet."""
        return sum(_INTERVAL_S for at in self._times_s if at >= since_s and self.quiet(at))


def stolen_s() -> float:
    """Time of this machine's processors that the host gave to others, since it started."""
    return psutil.cpu_times().steal


def waited_for_processor_s(pid: int) -> float:
    """How long the main thread of a process had work but no processor, since it started. 0 if it has ended."""
    try:
        schedule = Path(f"/proc/{pid}/schedstat").read_text()
    except OSError:
        return 0.0
    return int(schedule.split()[1]) / 1e9


@contextlib.asynccontextmanager
async def watching() -> AsyncIterator[StealWatch]:
    watch = StealWatch()

    async def sample() -> None:
        while True:
            watch.add(time.monotonic(), stolen_s())
            await asyncio.sleep(_INTERVAL_S)

    task = asyncio.create_task(sample())
    try:
        yield watch
    finally:
        task.cancel()
