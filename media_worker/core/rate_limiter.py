"""Rate limits for what a caller sends: a token bucket, and the policy for control messages built from it."""

from typing import Literal


class RateLimiter:
    """A token bucket: admits `burst` at once and `rate_per_s` in the long run. What it refuses takes no token."""

    __slots__ = ("_burst", "_left", "_rate_per_s", "_seen_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = self._left = float(burst)
        self._seen_s: float | None = None

    def admits(self, now: float) -> bool:
        """Whether one more may pass at `now`, in seconds of any clock."""
        if self._seen_s is not None and now > self._seen_s:
            self._left = min(self._burst, self._left + (now - self._seen_s) * self._rate_per_s)
        self._seen_s = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


PER_S, BURST = 20, 50
"""A program that types, interrupts and pings at once sends two or three a second."""
FLOOD = 10
"""A sender at this many times the limit is not making a mistake."""
_ERRORS_PER_S = 1

TOO_MANY_MESSAGES = {
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
