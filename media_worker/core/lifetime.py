"""When a session ends although nobody says so: its caller never connects, falls silent, hangs up, or stays too long."""

HANGUP_GRACE_S = 1.0
"""A client whose session has moved closes this connection. We may hear of that before we hear of the move."""
RELOAD_GRACE_S = 10.0
"""In which a page that was reloaded may come back."""
FAREWELL_S = 30.0
"""The pipeline worker ends a session at its maximum duration, and says goodbye. This ends one that no worker ends."""


class Lifetime:
    """Times are seconds of any monotonic clock. `left_s` is what is left of the longest duration at `opened_s`."""

    def __init__(
        self,
        opened_s: float,
        left_s: float,
        check_timeout_s: float,
        silent_timeout_s: float,
        survives_reload: bool = False,
    ) -> None:
        self._opened_s = opened_s
        self._ends_s = opened_s + left_s + FAREWELL_S
        self._check_timeout_s = check_timeout_s
        self._silent_timeout_s = silent_timeout_s
        self._hangup_grace_s = RELOAD_GRACE_S if survives_reload else HANGUP_GRACE_S
        self._hung_up_s: float | None = None

    @property
    def hung_up(self) -> bool:
        """The caller has closed this connection: the session ends soon, unless it has moved."""
        return self._hung_up_s is not None

    def on_hangup(self, now: float) -> None:
        if self._hung_up_s is None:
            self._hung_up_s = now

    def over(self, now: float, last_heard_s: float, connected: bool, deaf: bool) -> str | None:
        """The reason to end the session now, if there is one.

        `last_heard_s` is 0 before the first check. `deaf`: the broker cannot be read, so nobody could tell of a move.
        """
        if not connected:
            return "connect_timeout" if not last_heard_s and now - self._opened_s > self._check_timeout_s else None
        if now > self._ends_s:
            return "max_duration"
        if self._hung_up_s is not None:
            return "hangup" if now - self._hung_up_s > self._hangup_grace_s and not deaf else None
        return "silent_timeout" if now - last_heard_s > self._silent_timeout_s else None
