"""The rates of a caller: signaling messages on a connection, new sessions from an address."""

from collections import OrderedDict
from typing import Literal

from shared.rate_limiter import RateLimiter

MESSAGES_PER_S, MESSAGE_BURST = 20, 100
"""A browser sends an offer and, at once, a candidate per network of its machine."""
_LARGEST_PER_S, _LARGEST_BURST = 1, 8
"""Bytes count too, in messages of the largest size."""
_FLOOD = 2
"""Whoever sends at this many times the limit ignores the error."""
_MAX_ADDRESSES = 10_000

MOVES_PER_MINUTE = 30
"""Of one session: each move makes another peer connection, and is tried at up to three media workers."""

TOO_MANY_MESSAGES = f"at most {MESSAGES_PER_S} messages a second are read, fewer if they are large; some were dropped"

Verdict = Literal["admitted", "refused", "dropped", "flood"]
"""`refused` gets an error, `dropped` gets none, `flood` closes the connection."""


class MessageRateLimiter:
    """Rate-limits one client's signaling messages: excess gets one error, a flood closes the connection."""

    def __init__(self, max_message_bytes: int) -> None:
        bytes_per_s, byte_burst = _LARGEST_PER_S * max_message_bytes, _LARGEST_BURST * max_message_bytes
        self._messages = RateLimiter(MESSAGES_PER_S, MESSAGE_BURST)
        self._bytes = RateLimiter(bytes_per_s, byte_burst)
        self._flood = RateLimiter(_FLOOD * MESSAGES_PER_S, _FLOOD * MESSAGE_BURST)
        self._byte_flood = RateLimiter(_FLOOD * bytes_per_s, _FLOOD * byte_burst)
        self._told = False

    def judge(self, size_bytes: int, now: float) -> Verdict:
        """The verdict on a message that arrives at `now`, in seconds."""
        if not self._flood.admits(now) or not self._byte_flood.admits(now, size_bytes):
            return "flood"
        if self._messages.admits(now) and self._bytes.admits(now, size_bytes):
            return "admitted"
        if self._told:
            return "dropped"
        self._told = True
        return "refused"


class SessionRateLimiter:
    """Rate-limits new sessions per address block, or moves per session. The least recently seen are forgotten."""

    def __init__(self, per_minute: int, max_addresses: int = _MAX_ADDRESSES) -> None:
        """The limit of a minute may be used up at once. 0: no limit."""
        self._per_minute = per_minute
        self._max_addresses = max_addresses
        self._limiters: OrderedDict[str, RateLimiter] = OrderedDict()

    def wait_ms(self, whose: str, now: float) -> int:
        """0 if one more of `whose` (address block or session) is allowed at `now`, in seconds; else how long until."""
        if not self._per_minute:
            return 0
        limiter = self._limiters.pop(whose, None) or RateLimiter(self._per_minute / 60, self._per_minute)
        self._limiters[whose] = limiter
        if len(self._limiters) > self._max_addresses:
            self._limiters.popitem(last=False)
        return 0 if limiter.admits(now) else 1 + round(limiter.wait_s() * 1000)
