"""Caller to pipeline: packets in, 16 kHz mono PCM out, without gaps in its positions."""

from collections.abc import Callable

from prometheus_client import Counter

from media_worker.core.decode_plan import (
    DTX_PAYLOAD,
    RTP_RATE,
    Conceal,
    Decode,
    DecodeFec,
    DecodePlan,
    Drop,
    Silence,
    Step,
)
from media_worker.core.jitter import JitterBuffer, Ordered, Packet
from media_worker.opus import Decoder, packet_ticks
from shared.audio import BYTES_PER_SAMPLE, UPLINK_RATE
from shared.frames import AudioFrame, SilenceRun

_concealed = Counter("antiphon_media_uplink_concealed_samples_total", "16 kHz samples concealed or recovered by FEC")
_malformed = Counter("antiphon_media_uplink_malformed_total", "Packets that are not Opus")
_late = Counter("antiphon_media_uplink_late_packets_total", "Packets that came after their place was given up")
_dropped = Counter("antiphon_media_uplink_dropped_samples_total", "16 kHz samples that came faster than time passes")

Emit = Callable[[AudioFrame | SilenceRun], None]


class Uplink:
    """One caller's audio. `emit` gets frames as soon as they are known, oldest first."""

    def __init__(self, session: str, epoch: int, emit: Emit, reorder_wait_s: float) -> None:
        self._session = session
        self.epoch = epoch
        self.muted = False
        """While set, speech is emitted as silence of the same length."""
        self._emit = emit
        self.jitter = JitterBuffer(reorder_wait_s)
        self._plan = DecodePlan()
        self._decoder = Decoder()
        self._missing = 0
        self._seq = 0
        self._position = 0
        self._concealed_samples = 0
        self._dropped_samples = 0

    def begin(self, now: float) -> None:
        self._plan.begin(now)

    def restart(self) -> None:
        """The caller sends from a new source: its counters restart, our positions continue."""
        self.jitter.restart()
        self._plan.restart()
        self._missing = 0

    def quality(self) -> dict[str, int]:
        """Losses so far, for the log."""
        return {
            "lost_packets": self.jitter.lost,
            "late_packets": self.jitter.late,
            "concealed_ms": self._concealed_samples * 1000 // UPLINK_RATE,
            "dropped_ms": self._dropped_samples * 1000 // UPLINK_RATE,
        }

    def on_packet(self, packet: Packet, now: float) -> None:
        seq, timestamp, payload = packet
        if len(payload) > DTX_PAYLOAD and not self._missing and self.jitter.accept_next(seq):
            # Fast path for the usual packet: the next in order, with sound.
            ticks = packet_ticks(payload)
            if ticks and self._plan.accept_next(timestamp, ticks, now):
                self._decode(payload)
            else:
                self._play(Ordered(packet, 0), now)
            return
        late = self.jitter.late
        for ordered in self.jitter.push(packet, now):
            self._play(ordered, now)
        _late.inc(self.jitter.late - late)

    def tick(self, now: float) -> None:
        """Every 20 ms: give up on packets that are too late, and emit silence while nothing arrives."""
        if self.jitter.waiting:
            for ordered in self.jitter.poll(now):
                self._play(ordered, now)
        silence = self._plan.on_time(now, sound_waits=self.jitter.waiting)
        if silence is not None:
            self._emit_silence(silence.samples)

    def _play(self, ordered: Ordered, now: float) -> None:
        missing = self._missing + ordered.missing
        payload = ordered.packet.payload
        ticks = packet_ticks(payload) if payload else 0
        if ticks == 0:  # bandwidth probes (padding only), or not Opus, which counts as lost
            self._missing = missing + bool(payload)
            _malformed.inc(bool(payload))
            return
        self._missing = 0
        for step in self._plan.on_packet(ordered._replace(missing=missing), ticks, now):
            self._take(step)

    def _take(self, step: Step) -> None:
        match step:
            case Decode(payload):
                self._decode(payload)
            case DecodeFec(payload, samples):
                self._count_concealed(samples)
                self._emit_pcm(self._decoder.decode_fec(payload, samples))
            case Conceal(samples):
                self._count_concealed(samples)
                self._emit_pcm(self._decoder.conceal(samples))
            case Silence(samples):
                self._emit_silence(samples)
            case Drop(samples):
                self._dropped_samples += samples
                _dropped.inc(samples)

    def _decode(self, payload: bytes) -> None:
        pcm = self._decoder.decode(payload)
        if not pcm:
            _malformed.inc()
            pcm = self._decoder.conceal(packet_ticks(payload) * UPLINK_RATE // RTP_RATE)
        self._emit_pcm(pcm)

    def _emit_pcm(self, pcm: bytes) -> None:
        if self.muted:
            self._emit_silence(len(pcm) // BYTES_PER_SAMPLE)
            return
        frame = AudioFrame(self._session, self.epoch, self._seq, self._position, UPLINK_RATE, 1, pcm)
        self._seq += 1
        self._position += len(pcm) // BYTES_PER_SAMPLE
        self._emit(frame)

    def _emit_silence(self, samples: int) -> None:
        run = SilenceRun(self._session, self.epoch, self._seq, self._position, UPLINK_RATE, samples)
        self._seq += 1
        self._position += samples
        self._emit(run)

    def _count_concealed(self, samples: int) -> None:
        self._concealed_samples += samples
        _concealed.inc(samples)
