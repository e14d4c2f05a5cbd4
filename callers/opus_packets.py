"""Opus packets as browsers send them, encoded beforehand."""

from typing import Any

import av
from av.audio.codeccontext import AudioCodecContext

from shared.audio import Pcm


def browser_packets(pcm: Pcm, rate: int, *, with_fec: bool = False, bitrate: int = 32_000) -> list[bytes]:
    """The 20 ms packets of `pcm` (mono): what Chromium sends, or with FEC, which it adds on request."""
    encoder: AudioCodecContext = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = rate, "mono", "s16", bitrate
    options: dict[str, Any] = {"application": "voip", "frame_duration": "20", "compression_level": "9"}
    encoder.options = options | ({"fec": "1", "packet_loss": "5"} if with_fec else {})
    size = rate // 50
    packets: list[bytes] = []
    for start in range(0, len(pcm) - size + 1, size):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + size], layout="mono")
        frame.sample_rate, frame.pts = rate, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets
