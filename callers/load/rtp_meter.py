"""What the headers of received RTP packets say about the way that they came."""

from typing import NamedTuple

from media_worker.core.rtp import signed_difference

_TICKS_PER_S = 48_000
_BUFFER_S = 0.06
"""A receiver with a buffer of this length conceals what comes later. A browser's buffer adapts."""
_FASTEST_OF_S = 10.0
"""The delay is relative to the fastest packet of the last 10 to 20 s, because two clocks drift apart."""


class RtpCounts(NamedTuple):
    """Packets since the beginning. `jitter_ms` is the mean of the interarrival jitter (RFC 3550 §6.4.1)."""

    expected: int = 0
    received: int = 0
    late: int = 0
    jitter_sum_ms: float = 0.0

    def since(self, earlier: "RtpCounts") -> "RtpCounts":
        return RtpCounts(*(now - then for now, then in zip(self, earlier, strict=True)))

    @property
    def lost(self) -> int:
        """A packet that was expected before a window and came in it would make this negative."""
        return max(0, self.expected - self.received)

    @property
    def loss(self) -> float:
        """The share that never came."""
        return self.lost / self.expected if self.expected > 0 else 0.0

    @property
    def concealed(self) -> float:
        """The share that a receiver has to conceal: lost, or too late for its buffer."""
        return min(1.0, (self.lost + self.late) / self.expected) if self.expected > 0 else 0.0

    @property
    def jitter_ms(self) -> float:
        return self.jitter_sum_ms / self.received if self.received > 0 else 0.0


class RtpMeter:
    def __init__(self) -> None:
        self._first_seq = self._highest_seq = -1
        """Extended by the number of wraps."""
        self._ticks = 0
        """Of the latest packet, extended."""
        self._received = self._late = 0
        self._jitter_s = self._jitter_sum_s = 0.0
        self._transit_s: float | None = None
        self._fastest_s = self._fastest_before_s = float("inf")
        self._fastest_since_s = float("-inf")
        self.last_s = 0.0

    def take(self, seq: int, timestamp: int, arrived_s: float) -> None:
        """A duplicate must not get here."""
        self._received += 1
        self.last_s = arrived_s
        if self._first_seq < 0:
            self._first_seq = self._highest_seq = seq
            self._ticks = timestamp
        seq = self._highest_seq + signed_difference(seq, self._highest_seq & 0xFFFF, 16)
        self._highest_seq = max(self._highest_seq, seq)
        self._ticks += signed_difference(timestamp, self._ticks & 0xFFFFFFFF, 32)
        transit_s = arrived_s - self._ticks / _TICKS_PER_S
        if self._transit_s is not None:
            self._jitter_s += (abs(transit_s - self._transit_s) - self._jitter_s) / 16
        self._transit_s = transit_s
        self._jitter_sum_s += self._jitter_s
        self._judge(transit_s, arrived_s)

    def counts(self) -> RtpCounts:
        expected = self._highest_seq - self._first_seq + 1 if self._received else 0
        return RtpCounts(expected, self._received, self._late, self._jitter_sum_s * 1000)

    def _judge(self, transit_s: float, arrived_s: float) -> None:
        if arrived_s - self._fastest_since_s > _FASTEST_OF_S:
            self._fastest_since_s = arrived_s
            self._fastest_before_s, self._fastest_s = self._fastest_s, float("inf")
        self._fastest_s = min(self._fastest_s, transit_s)
        self._late += transit_s - min(self._fastest_s, self._fastest_before_s) > _BUFFER_S
