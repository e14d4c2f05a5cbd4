"""Pipeline to caller: agent audio in, one packet per 20 ms out while there is sound."""

import struct
import time
from collections.abc import Callable

from prometheus_client import Counter

from media_worker import opus, srtp
from media_worker.core.dtx_scheduler import DtxScheduler
from media_worker.core.playout import Ended, Frame, PlayoutBuffer
from media_worker.core.rtcp import SenderInfo
from media_worker.core.rtp import HEADER_SIZE, pack_header_into
from media_worker.opus import Encoder
from media_worker.srtp import SrtpCodec
from shared.events import PlayoutState
from shared.frames import AudioFrame

_TICKS_PER_SLOT = 240  # 5 ms at 48 kHz
_SLOTS_PER_FRAME = 4
_MAX_PAYLOAD = 1_275
_REPORT_TICKS = 5  # report to the pipeline every 100 ms

_REPORTED_STATE: dict[str, PlayoutState] = {
    "idle": "finished",
    "filling": "playing",
    "playing": "playing",
    "paused": "paused",
}

_underruns = Counter("antiphon_media_underruns_total", "Talkspurts that ran dry before their end")
_overflows = Counter("antiphon_media_playout_overflow_samples_total", "Agent samples dropped: sent too far ahead")
_packets_sent = Counter("antiphon_media_packets_sent_total", "RTP packets sent")

_payload_area = srtp.tx_pointer(HEADER_SIZE, opus.ffi)
_set_payload = struct.Struct("B").pack_into

Report = Callable[[int, PlayoutState, float | None], None]
"""(played_up_to in samples, the state, when playing began in Unix milliseconds if it just did)"""


class Downlink:
    """Agent audio of one caller: playout buffer, encoder and RTP stream."""

    def __init__(self, ssrc: int, payload_type: int, cushion_ms: int, bitrate: int, report: Report) -> None:
        self._ssrc = ssrc
        self._payload_type = payload_type
        self._cushion_ms = cushion_ms
        self._bitrate = bitrate
        self._report = report
        self._buffer: PlayoutBuffer | None = None
        self._encoder: Encoder | None = None
        self._toc = opus.silence_toc(24_000)
        self._dtx = DtxScheduler()
        self._codec: SrtpCodec | None = None
        self._send: Callable[[bytes], None] | None = None
        self.complexity = 5
        self._seq = 0
        self._ticks_until_report = _REPORT_TICKS
        self._seen_position = 0
        self._seen_s: float | None = None
        self._first_timestamp = 0
        self.timestamp = 0
        self._last_sent_slot = -_SLOTS_PER_FRAME
        self.packets = 0
        self._packets_counted = 0
        self.octets = 0

    def connect(self, codec: SrtpCodec, first_seq: int, first_timestamp: int) -> None:
        """The SRTP keys are known: packets may be sent."""
        self._codec = codec
        self._seq = first_seq & 0x7FFF  # RFC 3711 §3.3.1: a low start does not wrap during early loss
        self._first_timestamp = first_timestamp

    def set_sender(self, send: Callable[[bytes], None]) -> None:
        """Send packets with this function from now on."""
        self._send = send

    def push(self, frame: AudioFrame) -> bool:
        """Queue agent audio. True if it starts a talkspurt. Raises `ConfigError` for a rate that Opus does not have."""
        buffer = self._buffer
        if buffer is None or buffer.sample_rate != frame.sample_rate:
            self._encoder = Encoder(frame.sample_rate, self._bitrate, self.complexity)
            buffer = self._buffer = PlayoutBuffer(frame.sample_rate, self._cushion_ms)
            self._toc = opus.silence_toc(frame.sample_rate)
        overflowed = buffer.overflowed
        began = buffer.push(frame.first_sample, frame.pcm)
        if buffer.overflowed != overflowed:
            _overflows.inc(buffer.overflowed - overflowed)
        return began

    def end_at(self, end_sample: int) -> None:
        if self._buffer is not None:
            self._buffer.end_talkspurt()
        else:
            self._report(end_sample, "finished", None)

    def restart(self) -> int:
        """A new pipeline worker takes over: its positions start at zero. Returns what was heard of the last one's."""
        return 0 if self._buffer is None else self._buffer.restart()

    def flush(self) -> None:
        if self._buffer is not None:
            self._buffer.flush()
        else:
            self._report(0, "flushed", None)

    def pause(self) -> None:
        if self._buffer is not None:
            self._buffer.pause()

    def resume(self) -> None:
        if self._buffer is not None:
            self._buffer.resume()

    def settle(self) -> None:
        """Play what is left: a message of the pipeline worker was lost."""
        if self._buffer is not None:
            self._buffer.settle()

    def report_now(self) -> None:
        """Tell the pipeline worker where playout is."""
        self._report(self.played_up_to, _REPORTED_STATE[self._buffer.state if self._buffer else "idle"], None)

    @property
    def played_up_to(self) -> int:
        return self._buffer.played_up_to if self._buffer is not None else 0

    def still_s(self, now: float) -> float:
        """For how long nothing was played, as far as calls of this method have noticed."""
        if self.played_up_to != self._seen_position or self._seen_s is None:
            self._seen_position, self._seen_s = self.played_up_to, now
        return now - self._seen_s

    @property
    def is_idle(self) -> bool:
        """Nothing is queued and nothing is playing."""
        return self._buffer is None or self._buffer.state == "idle"

    def may_send_in(self, slot: int) -> bool:
        """Whether the last packet is at least a whole frame before `slot`, so that the next one does not overlap it."""
        return slot - self._last_sent_slot >= _SLOTS_PER_FRAME

    def set_complexity(self, complexity: int) -> None:
        if complexity != self.complexity:
            self.complexity = complexity
            if self._encoder is not None:
                self._encoder.set_complexity(complexity)

    def tick(self, slot: int) -> None:
        """Once per 20 ms: send a packet if one is due."""
        frame = self._next_frame()
        self.timestamp = (self._first_timestamp + slot * _TICKS_PER_SLOT) & 0xFFFFFFFF
        if self._codec is None or self._send is None:
            return
        sending = self._dtx.tick(frame is not None)
        if sending == "nothing":
            return
        if sending != "closing" and self._encoder is not None:
            pcm = frame.pcm if frame is not None else self._encoder.silence
            size = self._encoder.encode_into(pcm, _payload_area, _MAX_PAYLOAD)
            if size <= 0:
                return
            self._toc = srtp.tx_buffer[HEADER_SIZE][0]
            marker = frame is not None and frame.starts_talkspurt
        else:
            size, marker = 1, False
            _set_payload(srtp.tx_buffer, HEADER_SIZE, self._toc & 0xFC)
        self._seq = (self._seq + 1) & 0xFFFF
        second = self._payload_type | 0x80 if marker else self._payload_type
        pack_header_into(srtp.tx_buffer, 0, 0x80, second, self._seq, self.timestamp, self._ssrc)
        self._send(self._codec.protect(HEADER_SIZE + size))
        if marker:
            self._report_playing(time.time() * 1000)
        self._last_sent_slot = slot
        self.packets += 1
        self.octets += size

    def count(self) -> None:
        """Update the process' counters; see `RtpSession.count`."""
        _packets_sent.inc(self.packets - self._packets_counted)
        self._packets_counted = self.packets

    def sender_info(self) -> SenderInfo | None:
        """For a sender report; None before anything was sent."""
        return SenderInfo(time.time(), self.timestamp, self.packets, self.octets) if self.packets else None

    def _next_frame(self) -> Frame | None:
        buffer = self._buffer
        if buffer is None:
            return None
        underruns = buffer.underruns
        taken = buffer.take()
        if buffer.underruns != underruns:
            _underruns.inc()
        if isinstance(taken, Ended):
            self._report(buffer.played_up_to, taken.state, None)
            return None
        if taken is not None and not taken.starts_talkspurt:  # the first frame is reported once it has been sent
            self._ticks_until_report -= 1
            if self._ticks_until_report <= 0:
                self._report_playing(None)
        return taken

    def _report_playing(self, at_unix_ms: float | None) -> None:
        if self._buffer is not None:
            self._ticks_until_report = _REPORT_TICKS
            self._report(self._buffer.played_up_to, "playing", at_unix_ms)
