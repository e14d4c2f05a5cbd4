"""Plans how a caller's packets become audio without gaps: decode, recover by FEC, conceal, or insert silence.

Positions follow the RTP timestamps, which are the sender's sample clock, so nothing drifts. A gap in the timestamps
without a gap in the sequence numbers is discontinuous transmission (DTX, RFC 7587 §3.1.3): silence of known length.
While nothing arrives, silence is emitted by our own clock, because endpointing waits for it. That surplus is subtracted
from the next gap; speech that the network delayed is never dropped for it.

Packets may claim any duration, and audio time costs money and measures the length of a call. So our clock bounds it:
the time line gets at most 1.5 s a second, plus a burst as after a network stall, and the rest is dropped undecoded. If
it falls behind by more than a queue in the network explains, silence fills it up.
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
_MOST_PER_S = 1.5
_BURST_TICKS = 4 * RTP_RATE
_MAX_LAG_TICKS = 2 * RTP_RATE
_ACCOUNT_EVERY_S = 0.2


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


class Drop(NamedTuple):
    """A packet that came too fast: it is not decoded and has no place in the time line."""

    samples: int


Step = Decode | DecodeFec | Conceal | Silence | Drop


class DecodePlan:
    """Turns ordered packets into steps. Durations are in 48 kHz ticks."""

    def __init__(self) -> None:
        self._next_timestamp: int | None = None
        self._surplus = 0
        self._last_arrival_s: float | None = None
        self._emitted_since_arrival = 0
        self._silence_emitted = 0
        self._emitted = 0
        """Length of the time line in ticks."""
        self._limit = _BURST_TICKS
        """What packets may bring it to."""
        self._clock = 0
        """Ticks of our own clock since the beginning, until `_seen_s`."""
        self._seen_s = 0.0

    def accept_next(self, timestamp: int, duration_ticks: int, now: float) -> bool:
        """True if a packet with sound follows the last one without a gap: then it only has to be decoded."""
        emitted = self._emitted + duration_ticks
        if timestamp != self._next_timestamp or emitted > self._limit:
            return False
        self._emitted = emitted
        self._next_timestamp = (timestamp + duration_ticks) & 0xFFFFFFFF
        self._last_arrival_s = now
        self._emitted_since_arrival = self._silence_emitted = 0
        return True

    def on_packet(self, ordered: Ordered, duration_ticks: int, now: float) -> list[Step]:
        """The steps for a packet, oldest first."""
        self.begin(now)
        packet = ordered.packet
        gap_ticks = self._gap_before(packet.timestamp)
        self._last_arrival_s = now
        self._emitted_since_arrival = 0
        self._next_timestamp = (packet.timestamp + duration_ticks) & 0xFFFFFFFF
        frame = duration_ticks // _PER_SAMPLE
        room_ticks = self._limit - self._emitted - duration_ticks
        if room_ticks < 0:
            return [Drop(frame)]
        if gap_ticks is None or gap_ticks - self._surplus * _PER_SAMPLE > room_ticks:
            self._surplus = 0  # the sender's clock jumped, so no gap of it covers the surplus
            gap_ticks = 0
        gap = gap_ticks // _PER_SAMPLE
        steps = self._fill(gap, ordered, frame) if gap > 0 else []
        self._emitted += _PER_SAMPLE * sum(step.samples for step in steps)
        if len(packet.payload) <= DTX_PAYLOAD:
            samples = self._take_surplus(frame)
            self._emitted += _PER_SAMPLE * samples
            return [*steps, Silence(samples)] if samples else [*steps]
        self._silence_emitted = 0
        self._emitted += duration_ticks
        return [*steps, Decode(packet.payload)]

    def on_time(self, now: float, sound_waits: bool = False) -> Silence | None:
        """Call every 20 ms: the silence to emit while nothing arrives, up to 60 ms before `now`, or to catch up.

        `sound_waits` behind a hole: then something has arrived.
        """
        last_arrival_s = self._last_arrival_s
        if last_arrival_s is None:
            return None
        samples = 0
        if now - last_arrival_s > _ABSENT_AFTER_S and not sound_waits:
            samples = self._absent(now - last_arrival_s - _ABSENT_AFTER_S)
        if now - self._seen_s >= _ACCOUNT_EVERY_S:
            samples += self._account(now)
        return Silence(samples) if samples else None

    def _absent(self, absent_s: float) -> int:
        """Samples of silence because nothing arrives."""
        samples = int(absent_s * UPLINK_RATE) - self._emitted_since_arrival
        if samples < (_STEP if self._silence_emitted < _FINE_SILENCE else _COARSE_STEP):
            return 0
        self._silence_emitted += samples
        self._emitted_since_arrival += samples
        self._add_surplus(samples)
        return samples

    def _account(self, now: float) -> int:
        """Compare the time line with our clock. Samples of silence if it is behind."""
        passed = int((now - self._seen_s) * RTP_RATE)
        self._seen_s += passed / RTP_RATE
        self._clock += passed
        behind = max(0, self._clock - self._emitted - _MAX_LAG_TICKS) // _PER_SAMPLE
        self._add_surplus(behind)
        self._limit = min(self._emitted + _BURST_TICKS, self._limit + int(_MOST_PER_S * passed))
        return behind

    def _add_surplus(self, samples: int) -> None:
        self._surplus += samples
        self._emitted += _PER_SAMPLE * samples

    def begin(self, now: float) -> None:
        """The caller is connected: from now on silence is emitted even if no packet arrives."""
        if self._last_arrival_s is None:
            self._last_arrival_s = self._seen_s = now

    def restart(self) -> None:
        """The sender's timestamps restart."""
        self._next_timestamp = None

    def _gap_before(self, timestamp: int) -> int | None:
        """Ticks since the end of the last packet; None if the sender's clock restarted."""
        if self._next_timestamp is None:
            return None
        gap_ticks = signed_difference(timestamp, self._next_timestamp, 32)
        return gap_ticks if abs(gap_ticks) < _RESTART_TICKS else None

    def _fill(self, gap: int, ordered: Ordered, frame: int) -> list[Silence | Conceal | DecodeFec]:
        """Steps for `gap` samples before a packet: lost packets are concealed, the rest was not sent."""
        if not ordered.missing:
            gap -= self._surplus_against(gap)
            return [Silence(gap)] if gap else []
        # The surplus is not subtracted from the frame that can be recovered: that is speech.
        recoverable = min(frame, gap)
        gap -= self._surplus_against(gap - recoverable)
        lost = min(gap, ordered.missing * frame, MAX_CONCEALED_MS * UPLINK_RATE // 1000)
        steps: list[Silence | Conceal | DecodeFec] = [Silence(gap - lost)] if gap > lost else []
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
