"""A token bucket."""


class RateLimiter:
    """Admits `burst` at once and `rate_per_s` in the long run. What it refuses takes no token."""

    __slots__ = ("_burst", "_left", "_rate_per_s", "_seen_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = self._left = float(burst)
        self._seen_s: float | None = None

    def admits(self, now: float, cost: float = 1.0) -> bool:
        """Whether something that takes `cost` tokens may pass at `now`, in seconds of any clock."""
        if self._seen_s is not None and now > self._seen_s:
            self._left = min(self._burst, self._left + (now - self._seen_s) * self._rate_per_s)
        self._seen_s = now
        if self._left < cost:
            return False
        self._left -= cost
        return True

    def wait_s(self, cost: float = 1.0) -> float:
        """How long after the last `admits` there will be `cost` tokens."""
        return max(0.0, cost - self._left) / self._rate_per_s
