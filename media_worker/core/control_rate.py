"""How fast a caller may send control messages: who is a little too fast is told so, a flood is the end."""

from typing import Literal

from media_worker.core.rate_limit import RateLimit

PER_S, BURST = 20, 50
"""A program that types, interrupts and pings at once sends two or three a second."""
FLOOD = 10
"""Times as many as that are no mistake."""
_TOLD_PER_S = 1

TOO_MANY_MESSAGES = {
    "code": "too_many_messages",
    "message": f"at most {PER_S} control messages a second are read; some were not",
}
"""What a caller is told."""

Verdict = Literal["admitted", "refused", "dropped", "flood"]
"""`refused` ones are answered with an error, `dropped` ones are not: answers are not to be a flood themselves."""


class ControlRate:
    """Of one caller."""

    def __init__(self) -> None:
        self._messages = RateLimit(PER_S, BURST)
        self._borne = RateLimit(FLOOD * PER_S, FLOOD * BURST)
        self._told = RateLimit(_TOLD_PER_S, 1)

    def judge(self, now: float) -> Verdict:
        """What becomes of one more message at `now`, in seconds."""
        if not self._borne.admits(now):
            return "flood"
        if self._messages.admits(now):
            return "admitted"
        return "refused" if self._told.admits(now) else "dropped"
