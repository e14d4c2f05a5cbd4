"""The clock of many callers in one process: each sends a packet every 20 ms, and they take turns.

How late it is tells whether the callers can keep up. After a stall it goes on from now: a flood of old packets would
be a load that no caller makes.
"""

import asyncio
import time
from typing import Protocol

_SLOT_S = 0.005
_SLOTS = 4
_LONGEST_STALL_S = 0.5


class Sender(Protocol):
    @property
    def is_connected(self) -> bool: ...

    def send_next(self, now_s: float) -> None: ...


class Clock:
    def __init__(self) -> None:
        self._groups: list[dict[Sender, None]] = [{} for _ in range(_SLOTS)]
        self._lateness_ms: list[float] = []

    def add(self, sender: Sender) -> None:
        min(self._groups, key=len)[sender] = None

    def remove(self, sender: Sender) -> None:
        for group in self._groups:
            group.pop(sender, None)

    def take_lateness_ms(self) -> list[float]:
        """Of each slot since the last time."""
        lateness_ms, self._lateness_ms = self._lateness_ms, []
        return lateness_ms

    async def run(self) -> None:
        """Until it is cancelled."""
        due_s, slot = time.monotonic(), 0
        while True:
            now_s = time.monotonic()
            late_s = max(0.0, now_s - due_s)
            self._lateness_ms.append(1000 * late_s)
            if late_s > _LONGEST_STALL_S:
                due_s = now_s
            for sender in self._groups[slot % _SLOTS]:
                if sender.is_connected:
                    sender.send_next(time.monotonic())
            slot, due_s = slot + 1, due_s + _SLOT_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
