"""How many sessions this process can serve, estimated from the load and lateness that the present sessions cause.

The event loop and the helper processes are stages of a pipeline: the busiest stage limits the capacity.
"""

from collections import deque
from collections.abc import Sequence

from shared.capacity import CapacityEstimate

TICK_S = 0.05
WINDOW = 100  # ticks: five seconds
LATE_MS = 50.0
"""Lateness that the caller's playout buffer cannot hide in addition to network jitter."""
LATE_SHARE = 0.1

EXPECTED_SESSIONS = 120
"""On 70 % of a core. `python -m tests.load pipeline` measures 130 to 160 on that much."""
EXPECTED_CONVERSATIONS = 20
"""Of a local recogniser on 70 % of a core: a second of speech takes a tenth of one, and callers speak a third of the
time."""
_HELPER_SECONDS = 10
_HELPERS_CORES = 2
"""With fewer, the recogniser shares its core with the voice and the event loop."""
_NEWCOMERS_WEIGHT = 2
"""Sessions. Without others, a newcomer is taken for a conversation."""


class Admission:
    """Call `on_tick` every `TICK_S`, `on_load` and `on_helper_load` every second.

    Running sessions stay, whatever `capacity` says.
    """

    def __init__(self, limit: int | None = None, speed: float = 1.0, cores: float = _HELPERS_CORES) -> None:
        """`speed` is that of a core; the operator's `limit` only lowers the estimate."""
        self._limit = limit
        core, self._helper_core = min(1.0, cores), min(1.0, cores / _HELPERS_CORES)
        self._late: deque[bool] = deque(maxlen=WINDOW)
        self._loop = CapacityEstimate(EXPECTED_SESSIONS * speed * core)
        self._helper = CapacityEstimate(EXPECTED_CONVERSATIONS * speed * self._helper_core)
        self._has_helper = False
        self._helper_share = self._conversations = 0.0

    def on_tick(self, lateness_ms: float) -> None:
        self._late.append(lateness_ms > LATE_MS)

    def on_load(self, core_share: float, sessions: int) -> None:
        """The share of the core that this process used in the last second, with so many sessions."""
        self._loop.on_load(core_share, sessions, self._is_overloaded(sessions))

    def on_helper_load(self, core_share: float | None, conversations: int) -> None:
        """The share of a core that the busiest helper used in the last second; None without helpers.

        Smoothed both ways: a recogniser of whole utterances is busy for a second, then idle.
        """
        self._has_helper |= core_share is not None  # one that starts again has no process for a moment
        self._helper_share += ((core_share or 0.0) / self._helper_core - self._helper_share) / _HELPER_SECONDS
        self._conversations += (conversations - self._conversations) / _HELPER_SECONDS
        self._helper.on_load(self._helper_share, self._conversations)

    def capacity(self, sessions: int, conversations: int) -> int:
        """How many sessions there may be while `sessions` run, of which `conversations` may use a helper.

        Newcomers are expected to be like those who are here, because nobody knows before.
        """
        affordable = sessions if self._is_overloaded(sessions) else self._loop.capacity(sessions)
        if self._has_helper:
            room = self._helper.capacity(conversations) - conversations
            share = (conversations + _NEWCOMERS_WEIGHT) / (sessions + _NEWCOMERS_WEIGHT)
            affordable = min(affordable, sessions + int(room / share))
        return affordable if self._limit is None else min(affordable, self._limit)

    def _is_overloaded(self, sessions: int) -> bool:
        if sessions < self._loop.few:
            return False
        late = list(self._late)
        return min(_share(late[: WINDOW // 2]), _share(late[WINDOW // 2 :])) > LATE_SHARE


def _share(late: Sequence[bool]) -> float:
    return sum(late) / (WINDOW // 2)
