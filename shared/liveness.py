"""Tells processes that have died from a broker that is away.

Processes that talk to each other write at least every `TOUCH_INTERVAL_S`, if only an empty batch. A silence counts only
while the listener could itself read its inbox, and write to it. So when the broker hangs or has no memory left, or the
listener's own event loop hangs, nobody is lost: everybody gets the whole time again.
"""

import math

TOUCH_INTERVAL_S = 0.5
LOST_AFTER_S = 2.0
_LONGEST_READ_S = 1.0
"""Reads end after half a second even if nothing came. A longer gap between two reads means that we were deaf."""
_SENDERS_REMEMBERED = 4096


class Liveness:
    """When each sender was last heard. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._read_s = -math.inf
        self._hearing_since_s = -math.inf
        self._heard_s: dict[str, float] = {}

    def on_read(self, now: float) -> None:
        """The inbox takes messages, and a read of it ended without an error. Call it before `on_heard` for these."""
        if now - self._read_s > _LONGEST_READ_S:
            self._hearing_since_s = now
        self._read_s = now

    def on_heard(self, sender: str) -> None:
        """The read has brought something of this sender."""
        self._heard_s.pop(sender, None)
        self._heard_s[sender] = self._read_s
        if len(self._heard_s) > _SENDERS_REMEMBERED:
            del self._heard_s[next(iter(self._heard_s))]

    def expect(self, sender: str) -> None:
        """Something of this sender is expected from now on: until it comes, its silence counts from here."""
        self._heard_s.setdefault(sender, self._read_s)

    def silent_s(self, sender: str) -> float:
        """For how long the sender was silent, up to the last read; 0 for an unknown one."""
        heard_s = self._heard_s.get(sender, self._read_s)
        return max(0.0, self._read_s - max(heard_s, self._hearing_since_s))

    def is_lost(self, sender: str, after_s: float = LOST_AFTER_S) -> bool:
        return self.silent_s(sender) > after_s

    def is_deaf(self, now: float) -> bool:
        """The broker does not answer, so nothing is known of anybody."""
        return now - self._read_s > _LONGEST_READ_S
