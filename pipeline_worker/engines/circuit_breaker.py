"""Stops using an engine that keeps failing, so that callers do not wait for it in every turn."""

FAILURES_TO_OPEN = 3
COOL_DOWN_S = 30.0
LONGEST_COOL_DOWN_S = 300.0


class CircuitBreaker:
    """Opens after several failures in a row. Then one call per cool-down, the probe, tests the engine.

    Each failed probe doubles the cool-down, because a caller waited for it. A probe without a result need not be
    reported: the next one is due after another cool-down.
    """

    def __init__(self, failures_to_open: int = FAILURES_TO_OPEN, cool_down_s: float = COOL_DOWN_S) -> None:
        self._failures_to_open = failures_to_open
        self._first_cool_down_s = self._cool_down_s = cool_down_s
        self._failures = 0
        self._probe_at_s = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._failures >= self._failures_to_open

    def admits(self, now_s: float) -> bool:
        """Whether the next call may go to the engine. While open, True means that this call is the probe."""
        if not self.is_open:
            return True
        if now_s < self._probe_at_s:
            return False
        self._probe_at_s = now_s + self._cool_down_s
        self._probing = True
        return True

    def succeeded(self) -> None:
        self._failures = 0
        self._probing = False
        self._cool_down_s = self._first_cool_down_s

    def failed(self, now_s: float) -> None:
        self._failures += 1
        if self._probing:
            self._cool_down_s = min(2 * self._cool_down_s, LONGEST_COOL_DOWN_S)
            self._probing = False
        self._probe_at_s = now_s + self._cool_down_s
