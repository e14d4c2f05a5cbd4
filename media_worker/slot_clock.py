"""The clock of all callers: a 20 ms period in four slots of 5 ms, with absolute deadlines.

Late slots are caught up one by one, so callers get every frame. A stall of more than 200 ms is skipped. After any stall
the sockets are read first: else what came meanwhile would be missing, and silence take its place.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from prometheus_client import Counter, Histogram

from shared.io.logs import get_logger

SLOT_S = 0.005
SLOTS = 4
_MAX_BEHIND = 40
_STALL_S = 0.02
_SOCKETS_READ_S = 0.001
"""uvloop reads sockets between two timers that are not due at once."""

_lateness = Histogram(
    "antiphon_media_slot_lateness_seconds",
    "How late a slot of the send clock began",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
)
_skipped = Counter("antiphon_media_slots_skipped_total", "Slots that were skipped after a stall")


log = get_logger()


class Ticking(Protocol):
    """A session, as the clock sees it."""

    id: str

    def tick(self, slot: int, now: float) -> None: ...

    def close(self, reason: str) -> None: ...


class SlotClock:
    """Calls each member once a period. `slot` counts slots since the start."""

    def __init__(self, on_slot: Callable[[float], None], after_slot: Callable[[], None]) -> None:
        """`on_slot` gets each slot's lateness in milliseconds; `after_slot` is called when its members have ticked."""
        self._groups: list[dict[Ticking, None]] = [{} for _ in range(SLOTS)]
        self._on_slot = on_slot
        self._after_slot = after_slot
        self._began_s = 0.0
        self.slot = 0
        """The next slot."""
        self._handle: asyncio.TimerHandle | None = None
        self._awake_s = 0.0

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._began_s = self._awake_s = loop.time() + SLOT_S
        self._handle = loop.call_at(self._began_s, self._run)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def join(self, member: Ticking) -> None:
        """Add a member to the smallest group."""
        min(self._groups, key=len)[member] = None

    def leave(self, member: Ticking) -> None:
        for group in self._groups:
            group.pop(member, None)

    def advance(self, member: Ticking) -> None:
        """Move a member to the next slot that is not crowded, so that a talkspurt does not wait for the old one."""
        present = next((group for group in self._groups if member in group), None)
        if present is None:
            return
        most = 1.25 * sum(map(len, self._groups)) / SLOTS + 2
        for ahead in range(SLOTS):
            group = self._groups[(self.slot + ahead) % SLOTS]
            if group is present:
                return
            if len(group) <= most:
                del present[member]
                group[member] = None
                return

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._began_s + self.slot * SLOT_S
        now = loop.time()
        if now - self._awake_s > _STALL_S:
            self._awake_s = math.inf  # the next time is no stall, so a process that is always late has a clock too
            self._handle = loop.call_later(_SOCKETS_READ_S, self._run)
            return
        self._awake_s = now
        late_s = now - due
        _lateness.observe(max(0.0, late_s))
        self._on_slot(late_s * 1000)
        if late_s > _MAX_BEHIND * SLOT_S:
            missed = int(late_s / SLOT_S)
            self.slot += missed
            _skipped.inc(missed)
        slot = self.slot
        self.slot = slot + 1
        self._handle = loop.call_at(self._began_s + self.slot * SLOT_S, self._run)
        for member in tuple(self._groups[slot % SLOTS]):
            try:
                member.tick(slot, now)
            except Exception:  # one caller's fault must not stop the others' clock
                log.exception("tick_failed", session_id=member.id)
                self.leave(member)
                member.close("internal")
        self._after_slot()
