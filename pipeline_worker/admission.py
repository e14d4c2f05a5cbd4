"""How many sessions this process can serve, estimated from the load and lateness that the present sessions cause.

The event loop and the helper processes are stages of a pipeline: the busiest stage limits the capacity.
"""

from collections import deque
from collections.abc import Sequence
from statistics import median

TICK_S = 0.05
WINDOW = 100  # ticks: five seconds
LATE_MS = 50.0
"""Lateness that the caller's playout buffer cannot hide in addition to network jitter."""
LATE_SHARE = 0.1

_BUSY = 0.7
"""Share of a core that a stage may use; beyond it, waiting times grow without bound."""
_MEASURABLE = 0.3
"""Share of a core from which the cost of a session can be estimated; below it, the process' own cost dominates."""
_FEW_SHARE = 0.1
_LOADS = 5


class Admission:
    """Call `on_tick` every `TICK_S`, `on_load` and `on_helper_load` every second.

    Running sessions stay, whatever `capacity` says.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._late: deque[bool] = deque(maxlen=WINDOW)
        self._core_shares: deque[float] = deque([0.0], maxlen=_LOADS)
        self._costs: deque[float] = deque([0.0], maxlen=_LOADS)
        """Shares of a core that a session used."""
        self._helper_share = 0.0

    def on_tick(self, lateness_ms: float) -> None:
        self._late.append(lateness_ms > LATE_MS)

    def on_load(self, core_share: float, sessions: int) -> None:
        """The share of a core that this process used in the last second, with so many sessions.

        The median of a few seconds counts: opening the sessions of a burst of callers is expensive, but soon over.
        """
        self._core_shares.append(core_share)
        self._costs.append(core_share / max(1, sessions))

    def on_helper_load(self, core_share: float) -> None:
        """The share of a core that the busiest helper used in the last second.

        Smoothed both ways: a recogniser of whole utterances is busy for a second, then idle.
        """
        self._helper_share += (core_share - self._helper_share) / 10

    def capacity(self, sessions: int) -> int:
        """How many sessions there may be while `sessions` run: from those to the ceiling."""
        # With few sessions something else causes the load, and refusing would not help.
        if sessions < max(1.0, _FEW_SHARE * self._ceiling):
            return self._ceiling
        affordable = self._ceiling
        if median(self._core_shares) >= _MEASURABLE:
            affordable = min(affordable, round(_BUSY / median(self._costs)))
        if self._helper_share >= _MEASURABLE:
            affordable = min(affordable, int(sessions * _BUSY / self._helper_share))
        if self._stays_late():
            affordable = sessions
        return max(sessions, affordable)

    def _stays_late(self) -> bool:
        late = list(self._late)
        return min(_share(late[: WINDOW // 2]), _share(late[WINDOW // 2 :])) > LATE_SHARE


def _share(late: Sequence[bool]) -> float:
    return sum(late) / (WINDOW // 2)
