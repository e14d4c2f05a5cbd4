"""Whether another session fits, by the load that the present ones cause, and by the lateness of the clock."""

from collections import deque

from shared.capacity import CapacityEstimate

WINDOW = 1_000  # slots of 5 ms: five seconds
_HALF = WINDOW // 2
LATE_MS = 20.0
"""Callers notice a slot that starts a whole period late. The delay of a handshake (10 ms) is not noticed."""
LATE_SHARE = 0.05

EXPECTED_SESSIONS = 120
"""In which both sides talk, on 70 % of a core. `python -m tests.load density` measures 130 to 200 on that much."""
_COST_OF_COMPLEXITY = 0.07
"""A third of a session's cost is encoding at complexity 0, and complexity 5 costs twice as much."""
_HALF_BUSY, _BUSY = 0.4, 0.6
"""Shares of a core."""


class Admission:
    """Remembers which of the last slots were late. Running sessions stay, whatever `capacity` says."""

    def __init__(self, limit: int | None = None, speed: float = 1.0) -> None:
        """`speed` is that of the core; the operator's `limit` only lowers the estimate."""
        self._limit = limit
        self._estimate = CapacityEstimate(EXPECTED_SESSIONS * speed)
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

    def on_load(self, core_share: float, sessions: int, complexity: int) -> None:
        """The share of the core that was used in the last second, with so many sessions at this complexity.

        Complexity falls as the core fills up, so what counts is what they would cost at 0.
        """
        share = core_share / (1 + _COST_OF_COMPLEXITY * complexity)
        self._estimate.on_load(share, sessions, self._is_overloaded(sessions))

    def complexity(self, wanted: int, core_share: float) -> int:
        """The encoder's complexity: `wanted`, half of it, or 0 as the core fills up, and 0 when slots become late."""
        if core_share > _BUSY or self._late_earlier + self._late_lately > LATE_SHARE / 2 * WINDOW:
            return 0
        return wanted if core_share <= _HALF_BUSY else wanted // 2

    def capacity(self, sessions: int) -> int:
        """How many sessions there may be while `sessions` run."""
        affordable = sessions if self._is_overloaded(sessions) else self._estimate.capacity(sessions)
        return affordable if self._limit is None else min(affordable, self._limit)

    def refusal(self, sessions: int, draining: bool) -> str | None:
        """Why another session is refused; None admits it."""
        if draining:
            return "draining"
        if sessions < self.capacity(sessions):
            return None
        return "overloaded" if self._is_overloaded(sessions) else "full"

    def _is_overloaded(self, sessions: int) -> bool:
        # The handshakes of a burst of callers make slots late for a second or two. That is not overload.
        stays_late = min(self._late_earlier, self._late_lately) > LATE_SHARE * _HALF
        return stays_late and sessions >= self._estimate.few and len(self._earlier) == _HALF
