"""Whether one more caller fits: by slots, and by how late the clock has been."""

from collections import deque

WINDOW = 1_000  # slots of 5 ms: five seconds
LATE_MS = 20.0
"""A slot that begins a whole period late is felt by callers; a handshake beside it (10 ms) is not."""
LATE_SHARE = 0.05

_FEW_SHARE = 0.1
_HALF_BUSY, _BUSY = 0.4, 0.6
"""Shares of a core."""


class Admission:
    """Remembers the lateness of the last slots. Refusal is by its reason; None admits."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._late: deque[bool] = deque(maxlen=WINDOW)
        self._late_count = 0

    def on_slot(self, lateness_ms: float) -> None:
        late = lateness_ms > LATE_MS
        if len(self._late) == WINDOW:
            self._late_count -= self._late[0]
        self._late.append(late)
        self._late_count += late

    def complexity(self, wanted: int, core_share: float) -> int:
        """Encoder effort: the wanted one, half of it or none as the core fills, and none when slots begin to be late.

        Half of what a caller costs is encoding, and effort 5 costs twice as much as 0: it is spent while there is room.
        """
        if core_share > _BUSY or self._late_count > LATE_SHARE / 2 * WINDOW:
            return 0
        return wanted if core_share <= _HALF_BUSY else wanted // 2

    def refusal(self, sessions: int, draining: bool) -> str | None:
        if draining:
            return "draining"
        if sessions >= self.capacity:
            return "full"
        # With few callers the lateness is somebody else's doing, and refusing would not end it.
        few = sessions < _FEW_SHARE * self.capacity
        if not few and len(self._late) == WINDOW and self._late_count > LATE_SHARE * WINDOW:
            return "overloaded"
        return None
