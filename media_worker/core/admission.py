"""Whether another session fits, by the number of sessions and by the lateness of the clock."""

from collections import deque

WINDOW = 1_000  # slots of 5 ms: five seconds
_HALF = WINDOW // 2
LATE_MS = 20.0
"""Callers notice a slot that starts a whole period late. The delay of a handshake (10 ms) is not noticed."""
LATE_SHARE = 0.05

_FEW_SHARE = 0.1
_HALF_BUSY, _BUSY = 0.4, 0.6
"""Shares of a core."""


class Admission:
    """Remembers which of the last slots were late."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._earlier: deque[bool] = deque(maxlen=_HALF)
        self._latest: deque[bool] = deque(maxlen=_HALF)
        self._late_earlier = self._late_lately = 0

    def on_slot(self, lateness_ms: float) -> None:
        late = lateness_ms > LATE_MS
        if len(self._latest) == _HALF:
            passed = self._latest[0]
            self._late_lately -= passed
            if len(self._earlier) == _HALF:
                self._late_earlier -= self._earlier[0]
            self._earlier.append(passed)
            self._late_earlier += passed
        self._latest.append(late)
        self._late_lately += late

    def complexity(self, wanted: int, core_share: float) -> int:
        """The encoder's complexity: `wanted`, half of it, or 0 as the core fills up, and 0 when slots become late.

        Half the cost of a caller is encoding, and complexity 5 costs twice as much as 0.
        """
        if core_share > _BUSY or self._late_earlier + self._late_lately > LATE_SHARE / 2 * WINDOW:
            return 0
        return wanted if core_share <= _HALF_BUSY else wanted // 2

    def refusal(self, sessions: int, draining: bool) -> str | None:
        """Why another session is refused; None admits it."""
        if draining:
            return "draining"
        if sessions >= self.capacity:
            return "full"
        # With few sessions something else causes the lateness, and refusing would not help.
        few = sessions < _FEW_SHARE * self.capacity
        # The handshakes of a burst of callers make slots late for a second or two. That is not overload.
        stays_late = min(self._late_earlier, self._late_lately) > LATE_SHARE * _HALF
        if stays_late and not few and len(self._earlier) == _HALF:
            return "overloaded"
        return None
