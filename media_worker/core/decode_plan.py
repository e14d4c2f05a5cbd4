"""Plans how a caller's packets become audio without gaps: decode, recover by FEC, conceal, or insert silence.

Positions follow the RTP timestamps, which are the sender's sample clock, so nothing drifts. A gap in the timestamps
without a gap in the sequence numbers is discontinuous transmission (DTX, RFC 7587 §3.1.3): silence of known length.
While nothing arrives, silence is emitted by our own clock, because endpointing waits for it. That surplus is subtracted
from the next gap; speech that the network delayed is never dropped for it.
"""

from typing import NamedTuple

from media_worker.core.jitter import Ordered
from media_worker.core.rtp import signed_difference
from shared.audio import UPLINK_RATE

RTP_RATE = 48_000
_PER_SAMPLE = 3  # 48 kHz ticks in a 16 kHz sample
MAX_CONCEALED_MS = 100
"""Opus concealment has faded out by then; the rest of a longer hole becomes silence."""
DTX_PAYLOAD = 2
"""A packet of at most two bytes holds no sound (RFC 6716 §3.1: a TOC byte and an empty frame)."""
_ABSENT_AFTER_S = 0.06
_STEP = UPLINK_RATE // 50
_COARSE_STEP = UPLINK_RATE // 10
_FINE_SILENCE = 2 * UPLINK_RATE
"""For two seconds silence is emitted in steps of 20 ms, because endpointing waits for it; then in larger ones."""
_RESTART_TICKS = 10 * RTP_RATE


class Decode(NamedTuple):
    payload: bytes


class DecodeFec(NamedTuple):
    """Recover `samples` (16 kHz) lost before `payload` from the copy it carries, else conceal them."""

    payload: bytes
    samples: int


class Conceal(NamedTuple):
    samples: int


class Silence(NamedTuple):
    samples: int


Step = Decode | DecodeFec | Conceal | Silence


class DecodePlan:
    """Turns ordered packets into steps. Durations are in 48 kHz ticks."""

    def __init__(self) -> None:
        self._next_timestamp: int | None = None
        self._surplus = 0
        self._last_arrival_s: float | None = None
        self._emitted_since_arrival = 0
        self._silence_emitted = 0

    def accept_next(self, timestamp: int, duration_ticks: int, now: float) -> bool:
        """True if a packet with sound follows the last one without a gap: then it only has to be decoded."""
        if timestamp != self._next_timestamp:
            return False
        self._next_timestamp = (timestamp + duration_ticks) & 0xFFFFFFFF
        self._last_arrival_s = now
        self._emitted_since_arrival = self._silence_emitted = 0
        return True

    def on_packet(self, ordered: Ordered, duration_ticks: int, now: float) -> list[Step]:
        """The steps for a packet, oldest first."""
        packet = ordered.packet
        steps: list[Step] = []
        gap_ticks = self._gap_before(packet.timestamp)
        if gap_ticks is None:
            self._surplus = 0  # the sender's clock restarted, so no gap of it covers the surplus
        elif gap_ticks > 0:
            steps += self._fill(gap_ticks // _PER_SAMPLE, ordered, duration_ticks // _PER_SAMPLE)
        self._last_arrival_s = now
        self._emitted_since_arrival = 0
        self._next_timestamp = (packet.timestamp + duration_ticks) & 0xFFFFFFFF
        if len(packet.payload) <= DTX_PAYLOAD:
            samples = self._take_surplus(duration_ticks // _PER_SAMPLE)
            return [*steps, Silence(samples)] if samples else steps
        self._silence_emitted = 0
        return [*steps, Decode(packet.payload)]

    def on_time(self, now: float) -> Silence | None:
        """Call often: the silence to emit while nothing arrives, up to 60 ms before `now`."""
        if self._last_arrival_s is None:
            return None
        absent_s = now - self._last_arrival_s - _ABSENT_AFTER_S
        samples = int(absent_s * UPLINK_RATE) - self._emitted_since_arrival
        if samples < (_STEP if self._silence_emitted < _FINE_SILENCE else _COARSE_STEP):
            return None
        self._silence_emitted += samples
        self._emitted_since_arrival += samples
        self._surplus += samples
        return Silence(samples)

    def begin(self, now: float) -> None:
        """The caller is connected: from now on silence is emitted even if no packet arrives."""
        if self._last_arrival_s is None:
            self._last_arrival_s = now

    def restart(self) -> None:
        """The sender's timestamps restart."""
        self._next_timestamp = None

    def _gap_before(self, timestamp: int) -> int | None:
        """Ticks since the end of the last packet; None if the sender's clock restarted."""
        if self._next_timestamp is None:
            return None
        gap_ticks = signed_difference(timestamp, self._next_timestamp, 32)
        return gap_ticks if abs(gap_ticks) < _RESTART_TICKS else None

    def _fill(self, gap: int, ordered: Ordered, frame: int) -> list[Step]:
        """Steps for `gap` samples before a packet: lost packets are concealed, the rest was not sent."""
        if not ordered.missing:
            gap -= self._surplus_against(gap)
            return [Silence(gap)] if gap else []
        # The surplus is not subtracted from the frame that can be recovered: that is speech.
        recoverable = min(frame, gap)
        gap -= self._surplus_against(gap - recoverable)
        lost = min(gap, ordered.missing * frame, MAX_CONCEALED_MS * UPLINK_RATE // 1000)
        steps: list[Step] = [Silence(gap - lost)] if gap > lost else []
        if lost > recoverable:
            steps.append(Conceal(lost - recoverable))
        steps.append(DecodeFec(ordered.packet.payload, recoverable))
        return steps

    def _surplus_against(self, gap: int) -> int:
        used = min(gap, self._surplus)
        self._surplus -= used
        return used

    def _take_surplus(self, samples: int) -> int:
        return samples - self._surplus_against(samples)
