"""What the headers of received RTP packets say about the way that they came."""

from typing import NamedTuple

from media_worker.core.rtp import signed_difference

_TICKS_PER_S = 48_000
RECEIVE_BUFFER_MS = 60.0
"""A receiver with a buffer of this length conceals what comes later. A browser's buffer adapts."""
_PACKET_S = 0.02
_MOST_KEPT = 1_000
_REMEMBERED = 64
"""Packets behind the highest one, of which a second copy is noticed."""
_FASTEST_OF_S = 10.0
"""The delay is relative to the fastest packet of the last 10 to 20 s, because two clocks drift apart."""


class RtpCounts(NamedTuple):
    """Packets since the beginning, and the sum of the interarrival jitter (RFC 3550 §6.4.1) at each of them."""

    expected: int = 0
    received: int = 0
    bursts: int = 0
    """Runs of missing packets."""
    late: int = 0
    jitter_sum_ms: float = 0.0

    def since(self, earlier: "RtpCounts") -> "RtpCounts":
        return RtpCounts(
            self.expected - earlier.expected,
            self.received - earlier.received,
            self.bursts - earlier.bursts,
            self.late - earlier.late,
            self.jitter_sum_ms - earlier.jitter_sum_ms,
        )

    def and_then(self, later: "RtpCounts") -> "RtpCounts":
        return RtpCounts(
            self.expected + later.expected,
            self.received + later.received,
            self.bursts + later.bursts,
            self.late + later.late,
            self.jitter_sum_ms + later.jitter_sum_ms,
        )

    @property
    def lost(self) -> int:
        """A packet of an earlier time that came in this one must not make it negative."""
        return max(0, self.expected - self.received)

    @property
    def concealed(self) -> int:
        """Those that a receiver has to conceal: lost, or too late for its buffer."""
        return min(self.expected, self.lost + self.late)

    @property
    def burst_ratio(self) -> float | None:
        """Length of a burst, over that of random loss of the same rate (ITU-T G.107 §7.5); None without loss."""
        if not self.bursts or self.lost >= self.expected:
            return None
        return self.lost / self.bursts * (1 - self.lost / self.expected)

    @property
    def jitter_ms(self) -> float | None:
        return self.jitter_sum_ms / self.received if self.received > 0 else None


class RtpMeter:
    """Keeps the lateness of each packet, behind the fastest one, until it is taken.

    A session that moves to another media worker goes on as another stream, with another SSRC.
    """

    def __init__(self) -> None:
        self._ssrc: int | None = None
        self._ended: set[int] = set()
        """Streams that another one has followed."""
        self._before = RtpCounts()
        """Of those."""
        self._latest_s = 0.0
        """When the last packet came."""
        self._lateness_ms: list[float] = []
        self._silences_ms: list[float] = []
        self._begin()

    def _begin(self) -> None:
        self._first_seq = self._highest_seq = -1
        """Extended by the number of wraps."""
        self._seen = 0
        """Bit n: whether the packet n before the highest one has come."""
        self._ticks = 0
        """Of the latest packet, extended."""
        self._received = self._bursts = self._late = 0
        self._jitter_s = self._jitter_sum_s = 0.0
        self._transit_s: float | None = None
        self._fastest_s = self._fastest_before_s = float("inf")
        self._fastest_since_s = float("-inf")

    def take(self, ssrc: int, seq: int, timestamp: int, arrived_s: float) -> bool:
        """False for a second copy, and for a packet of a stream that another one has followed."""
        if ssrc in self._ended:
            return False
        if ssrc != self._ssrc:
            self._follow(ssrc, arrived_s)
        self._latest_s = arrived_s
        if self._first_seq < 0:
            self._first_seq = self._highest_seq = seq
            self._ticks = timestamp
        seq = self._highest_seq + signed_difference(seq, self._highest_seq & 0xFFFF, 16)
        if self._has_come(seq):
            return False
        self._received += 1
        self._bursts += seq - self._highest_seq > 1
        self._highest_seq = max(self._highest_seq, seq)
        self._ticks += signed_difference(timestamp, self._ticks & 0xFFFFFFFF, 32)
        transit_s = arrived_s - self._ticks / _TICKS_PER_S
        if self._transit_s is not None:
            self._jitter_s += (abs(transit_s - self._transit_s) - self._jitter_s) / 16
        self._transit_s = transit_s
        self._jitter_sum_s += self._jitter_s
        self._judge(transit_s, arrived_s)
        return True

    def _has_come(self, seq: int) -> bool:
        """Whether it has come before; from now on it has."""
        ahead = seq - self._highest_seq
        if ahead > 0:
            self._seen = (self._seen << min(ahead, _REMEMBERED)) & (1 << _REMEMBERED) - 1
        bit = 1 << max(0, -ahead)
        if self._seen & bit:
            return True
        self._seen |= bit if -ahead < _REMEMBERED else 0
        return False

    def counts(self) -> RtpCounts:
        expected = self._highest_seq - self._first_seq + 1 if self._received else 0
        stream = RtpCounts(expected, self._received, self._bursts, self._late, self._jitter_sum_s * 1000)
        return self._before.and_then(stream)

    def take_lateness_ms(self) -> list[float]:
        """Of the packets since the last time."""
        lateness_ms, self._lateness_ms = self._lateness_ms, []
        return lateness_ms

    def take_silences_ms(self) -> list[float]:
        """Between one stream and the next, since the last time: a move causes each."""
        silences_ms, self._silences_ms = self._silences_ms, []
        return silences_ms

    def _follow(self, ssrc: int, arrived_s: float) -> None:
        if self._ssrc is not None:
            self._ended.add(self._ssrc)
            self._silences_ms.append(1000 * max(0.0, arrived_s - self._latest_s - _PACKET_S))
            self._before = self.counts()
            self._begin()
        self._ssrc = ssrc

    def _judge(self, transit_s: float, arrived_s: float) -> None:
        if arrived_s - self._fastest_since_s > _FASTEST_OF_S:
            self._fastest_since_s = arrived_s
            self._fastest_before_s, self._fastest_s = self._fastest_s, float("inf")
        self._fastest_s = min(self._fastest_s, transit_s)
        lateness_s = transit_s - min(self._fastest_s, self._fastest_before_s)
        self._late += 1000 * lateness_s > RECEIVE_BUFFER_MS
        if len(self._lateness_ms) < _MOST_KEPT:
            self._lateness_ms.append(1000 * lateness_s)
