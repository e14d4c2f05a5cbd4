"""The rate limits of a caller's control messages."""

from typing import Literal

from shared.client_events import ErrorEvent
from shared.rate_limiter import RateLimiter

PER_S, BURST = 20, 50
"""A program that types, interrupts and pings at once sends two or three a second."""
FLOOD = 10
"""A sender at this many times the limit is not making a mistake."""
_ERRORS_PER_S = 1

TOO_MANY_MESSAGES: ErrorEvent = {
    "code": "too_many_messages",
    "message": f"at most {PER_S} control messages a second are read; some were dropped",
}
"""The error event that a caller over the limit gets."""

Verdict = Literal["admitted", "refused", "dropped", "flood"]
"""`refused` gets an error, `dropped` gets none (which bounds the errors), `flood` ends the session."""


class ControlRateLimiter:
    """Rate-limits one caller's control messages: excess gets an error, a flood ends the session."""

    def __init__(self) -> None:
        self._messages = RateLimiter(PER_S, BURST)
        self._flood = RateLimiter(FLOOD * PER_S, FLOOD * BURST)
        self._errors = RateLimiter(_ERRORS_PER_S, 1)

    def judge(self, now: float) -> Verdict:
        """The verdict on a message that arrives at `now`, in seconds."""
        if not self._flood.admits(now):
            return "flood"
        if self._messages.admits(now):
            return "admitted"
        return "refused" if self._errors.admits(now) else "dropped"
