"""A loop's clock and timers, moved by hand."""

import heapq
from collections.abc import Callable


class ManualTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualLoop:
    """`advance` runs what becomes due, each at its time; `stall` lets time pass while the loop is busy."""

    def __init__(self, now: float = 100.0) -> None:
        self._now = now
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._count = 0

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], None]) -> ManualTimer:
        timer = ManualTimer(callback)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def call_later(self, delay: float, callback: Callable[[], None]) -> ManualTimer:
        return self.call_at(self._now + delay, callback)

    def advance(self, seconds: float) -> None:
        until = self._now + seconds
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            if timer.callback is not None:
                timer.callback()
        self._now = max(self._now, until)

    def stall(self, seconds: float) -> None:
        self._now += seconds
        self.advance(0.0)
