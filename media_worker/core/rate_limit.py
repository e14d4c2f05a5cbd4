"""How many of something a stranger may send: a token bucket, in which nothing is kept of those that were refused."""


class RateLimit:
    """Admits `burst` at once and `rate_per_s` in the long run."""

    __slots__ = ("_burst", "_left", "_rate_per_s", "_seen_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = self._left = float(burst)
        self._seen_s: float | None = None

    def admits(self, now: float) -> bool:
        """Whether one more may pass at `now`, in seconds of any clock. One that may not leaves the bucket as it is:
        whoever goes on too fast still gets what his rate allows."""
        if self._seen_s is not None and now > self._seen_s:
            self._left = min(self._burst, self._left + (now - self._seen_s) * self._rate_per_s)
        self._seen_s = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
