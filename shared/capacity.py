"""How many sessions a stage can serve, estimated from the load that the present ones cause.

A stage is what one core does: the event loop of a process, or one of its helpers. Capacity is the present sessions and
as many more as the rest of the core has room for.
"""

from collections import deque
from statistics import median

BUSY = 0.7
"""Share of a core that a stage may use; beyond it, waiting times grow without bound."""
FEW_SHARE = 0.1
"""Of the expected sessions. With fewer sessions something else causes the load, and refusing would not help."""

_EXPECTED_WEIGHT = 20
"""Sessions. The expected cost counts like so many measured ones: few sessions say little."""
_CHEAPEST = 1 / 3
"""Of the expected cost: sessions that are quiet now may all speak later."""
_MOST_IDLE_SHARE = 0.1
"""That a stage uses without sessions. More is the work of sessions that have just ended."""
_SECONDS = 5
_RISE_PER_S = 0.05
"""Of the expected sessions, while no new ones come. The estimate may fall at once."""


class CapacityEstimate:
    """`expected` is the first estimate: how many sessions such a core should carry, by what was measured."""

    def __init__(self, expected: float) -> None:
        self._first = expected
        self._expected_cost = BUSY / expected
        self.few = max(1, round(FEW_SHARE * self._first))
        self._estimate = self._room = self._first
        self._idle_share = 0.0
        self._core_shares = deque([0.0] * _SECONDS, maxlen=_SECONDS)
        self._sessions = deque([0.0] * _SECONDS, maxlen=_SECONDS)

    def on_load(self, core_share: float, sessions: float, is_late: bool = False) -> None:
        """The share of the core that was used in the last second, with so many sessions.

        `is_late`: there is no room, however small our share: others use the core too.

        Medians of a few seconds count: opening the sessions of a burst of callers is expensive, but soon over. Both lag
        by the same time, so newcomers count at the expected cost until theirs is known.
        """
        self._core_shares.append(max(core_share, BUSY) if is_late else core_share)
        self._sessions.append(sessions)
        used, known = median(self._core_shares), median(self._sessions)
        if not known:
            self._idle_share = min(used, _MOST_IDLE_SHARE)
        of_sessions = max(0.0, used - self._idle_share)
        measured_cost = (_EXPECTED_WEIGHT * self._expected_cost + of_sessions) / (_EXPECTED_WEIGHT + known)
        cost = max(measured_cost, _CHEAPEST * self._expected_cost)
        most = max(self._estimate, known + self._room) + _RISE_PER_S * self._first
        self._estimate = min(known + (BUSY - used) / cost, most)
        self._room = max(0.0, self._estimate - known)

    def capacity(self, sessions: int) -> int:
        """How many sessions there may be while `sessions` run; never fewer than those."""
        return max(sessions, self.few, round(self._estimate))
