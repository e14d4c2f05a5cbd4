"""From RTP packets to a recording. Packets are decoded as they arrive, in order, without a jitter buffer."""

from callers.recording import Recording
from media_worker.core.rtp import signed_difference
from media_worker.opus import Decoder
from shared.audio import UPLINK_RATE, as_samples

_TICKS_PER_SECOND = 48_000
_PACKET_TICKS = 960
_LONGEST_LOSS = 5
"""Packets that are concealed; a longer loss is silence."""


class AudioRecorder:
    """Adds one stream of Opus packets to `recording`, after what is there already."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._decoder = Decoder()
        self._last: tuple[int, int] | None = None
        self._ticks = 0
        """Of the last packet, counted from the first one."""
        self._began_s = 0.0
        """Position of the first packet."""

    def take(self, seq: int, timestamp: int, payload: bytes, arrived_s: float) -> None:
        """Drops a packet that arrives after a later one."""
        if self._last is not None:
            missing = signed_difference(seq, self._last[0], 16) - 1
            if missing < 0:
                return
            self._ticks += signed_difference(timestamp, self._last[1], 32)
            if 0 < missing <= _LONGEST_LOSS:
                self._conceal(missing, arrived_s)
        else:
            self._began_s = self._recording.position_at(arrived_s)
        self._last = seq, timestamp
        self._add(self._ticks, self._decoder.decode(payload), arrived_s)

    def _conceal(self, missing: int, arrived_s: float) -> None:
        lost_ticks = missing * _PACKET_TICKS
        pcm = self._decoder.conceal(lost_ticks * UPLINK_RATE // _TICKS_PER_SECOND)
        self._add(self._ticks - lost_ticks, pcm, arrived_s)

    def _add(self, ticks: int, pcm: bytes, arrived_s: float) -> None:
        if pcm:
            self._recording.add(self._began_s + ticks / _TICKS_PER_SECOND, as_samples(pcm), arrived_s)
