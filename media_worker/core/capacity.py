"""Whether one more caller fits: by slots, and by how late the clock has been."""

from collections import deque

_WINDOW = 1_000  # slots of 5 ms: five seconds
LATE_MS = 8.0
"""A slot that begins later than this was felt by callers."""
_LATE_SHARE = 0.02


class Admission:
    """Remembers the lateness of the last slots. Refusal is by its reason; None admits."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._late: deque[bool] = deque(maxlen=_WINDOW)
        self._late_count = 0
        self.recent_lateness_ms = 0.0
        """Smoothed over about a hundred slots."""

    def on_slot(self, lateness_ms: float) -> None:
        self.recent_lateness_ms += (lateness_ms - self.recent_lateness_ms) / 100
        late = lateness_ms > LATE_MS
        if len(self._late) == _WINDOW:
            self._late_count -= self._late[0]
        self._late.append(late)
        self._late_count += late

    def complexity(self, wanted: int) -> int:
        """Encoder effort: the wanted one, or none when slots begin to be late."""
        return 0 if self._late_count > _LATE_SHARE / 2 * _WINDOW else wanted

    def refusal(self, sessions: int, draining: bool) -> str | None:
        if draining:
            return "draining"
        if sessions >= self.capacity:
            return "full"
        if len(self._late) == _WINDOW and self._late_count > _LATE_SHARE * _WINDOW:
            return "overloaded"
        return None
