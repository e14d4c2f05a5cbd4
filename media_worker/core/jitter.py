"""The jitter buffer: puts packets in order, with no standing delay.

The next packet in order leaves at once. Packets behind a hole wait, for at most `max_wait_s`, and at most `max_packets`
of them; then the missing ones count as lost. A packet older than the last one that left is late: it is counted and
dropped.
"""

from typing import NamedTuple

from media_worker.core.rtp import signed_difference

_RESTART_GAP = 3_000
"""A wider jump means that the sender restarted (RFC 3550 A.1 uses the same figure)."""


class Packet(NamedTuple):
    """One Opus packet; `timestamp` counts 48 kHz samples (RFC 7587 §4.1)."""

    seq: int
    timestamp: int
    payload: bytes


class Ordered(NamedTuple):
    """A packet in order, and how many before it were lost."""

    packet: Packet
    missing: int


class JitterBuffer:
    """Orders one stream. Times are seconds of any monotonic clock."""

    def __init__(self, max_wait_s: float = 0.04, max_packets: int = 32) -> None:
        self._max_wait_s = max_wait_s
        self._max_packets = max_packets
        self._next_seq: int | None = None
        self._waiting: dict[int, tuple[Packet, float]] = {}
        self.late = 0
        self.lost = 0

    def accept_next(self, seq: int) -> bool:
        """Fast path: True if the packet is the next one and none waits. Then it counts as having left."""
        if seq != self._next_seq or self._waiting:
            return False
        self._next_seq = (seq + 1) & 0xFFFF
        return True

    def push(self, packet: Packet, now: float) -> list[Ordered]:
        """Take a packet; returns the packets that can leave now, in order."""
        if self._next_seq is None:
            self._next_seq = packet.seq
        ahead = signed_difference(packet.seq, self._next_seq, 16)
        if abs(ahead) > _RESTART_GAP:
            self._waiting.clear()
            self._next_seq = packet.seq
            ahead = 0
        if ahead < 0:
            self.late += 1
            return []
        if ahead == 0 and not self._waiting:
            self._next_seq = (packet.seq + 1) & 0xFFFF
            return [Ordered(packet, 0)]
        if packet.seq in self._waiting:
            return []
        self._waiting[packet.seq] = (packet, now)
        return self.poll(now)

    def poll(self, now: float) -> list[Ordered]:
        """The packets that can leave at `now`: those in order, and those that waited long enough behind a hole."""
        ready: list[Ordered] = []
        missing = 0
        while self._waiting and self._next_seq is not None:
            held = self._waiting.pop(self._next_seq, None)
            if held is not None:
                ready.append(Ordered(held[0], missing))
                missing = 0
            elif missing or self._must_give_up(now):
                missing += 1
                self.lost += 1
            else:
                break
            self._next_seq = (self._next_seq + 1) & 0xFFFF
        return ready

    def restart(self) -> None:
        """The next packet is the first."""
        self._next_seq = None
        self._waiting.clear()

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def _must_give_up(self, now: float) -> bool:
        if len(self._waiting) >= self._max_packets:
            return True
        return now - min(arrived for _, arrived in self._waiting.values()) >= self._max_wait_s
