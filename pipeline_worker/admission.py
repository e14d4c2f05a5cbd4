"""How many sessions this process can serve, measured on those that it has: by what they use of a core, and by lateness.

Its loop and what works for it in helper processes are stages of one line: the fullest says what room there is.
"""

from collections import deque

TICK_S = 0.05
WINDOW = 100  # ticks: five seconds
LATE_MS = 50.0
"""What the caller's playout buffer does not hide together with the network's jitter."""
LATE_SHARE = 0.1

_BUSY = 0.7
"""Share of a core that a stage may use; beyond it the waiting times grow without bound."""
_TELLING = 0.3
"""Share of a core from which on it tells what a session costs; below it is mostly what the process costs by itself."""
_FEW_SHARE = 0.1


class Admission:
    """Call `on_tick` every `TICK_S`, `on_load` and `on_helper_load` every second.

    Running sessions stay, whatever `capacity` says.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._late: deque[bool] = deque(maxlen=WINDOW)
        self._core_share = 0.0
        self._helper_share = 0.0

    def on_tick(self, lateness_ms: float) -> None:
        self._late.append(lateness_ms > LATE_MS)

    def on_load(self, core_share: float) -> None:
        """What this process used of a core in the last second. More counts at once, less is believed slowly."""
        self._core_share = max(core_share, self._core_share + (core_share - self._core_share) / 5)

    def on_helper_load(self, core_share: float) -> None:
        """What the busiest helper used of a core in the last second.

        Believed slowly both ways: a recogniser that takes whole utterances is busy for a second, and then not at all.
        """
        self._helper_share += (core_share - self._helper_share) / 10

    def capacity(self, sessions: int) -> int:
        """With `sessions` running, how many there may be: never fewer than those, never more than the ceiling."""
        # With few sessions the load is somebody else's doing, and refusing would not end it.
        if sessions < max(1.0, _FEW_SHARE * self._ceiling):
            return self._ceiling
        affordable = self._ceiling
        for core_share in (self._core_share, self._helper_share):
            if core_share >= _TELLING:
                affordable = min(affordable, int(sessions * _BUSY / core_share))
        if sum(self._late) > LATE_SHARE * WINDOW:
            affordable = sessions
        return max(sessions, affordable)
