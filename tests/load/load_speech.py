"""Speech for load tests, by the embedded engine, as PCM and as the Opus packets of a browser."""

import asyncio
import functools
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from callers.voice import RATE as CALLER_RATE
from callers.voice import Voice
from pipeline_worker.engines.resampling import resampled
from shared.audio import Pcm
from tests.integration.speech import spoken

_TEXT = (
    "Good evening, and thank you for calling. I would like to know whether you still have a table for four people on "
    "Friday at seven, near the window if that is possible. We are coming by train, so please tell me which way to "
    "walk from the station. One of us does not eat fish, and another one is allergic to nuts. That would be all."
)
_VOICE = Voice(rate=165)
_NOISE = 26.0
"""RMS of the room noise (-62 dBFS). Codecs behave differently in digital silence."""


@functools.cache
def speech(sample_rate: int) -> Pcm:
    """About 18 s of speech with room noise, mono."""
    (pcm,) = asyncio.run(spoken(_TEXT, voice=_VOICE))
    line = resampled(pcm, CALLER_RATE, sample_rate)
    noise = np.random.default_rng(1).standard_normal(len(line)) * _NOISE
    return np.clip(line * 0.7 + noise, -32_768, 32_767).astype(np.int16)


@functools.cache
def browser_packets(wideband: bool, bitrate: int = 32_000) -> list[bytes]:
    """20 ms Opus packets as Chromium sends them: hybrid fullband, or SILK wideband with FEC on request."""
    rate = 16_000 if wideband else 48_000
    encoder: AudioCodecContext = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = rate, "mono", "s16", bitrate
    options: dict[str, Any] = {"application": "voip", "frame_duration": "20", "compression_level": "9"}
    if wideband:
        options |= {"fec": "1", "packet_loss": "5"}
    encoder.options = options
    pcm = speech(rate)
    size = rate // 50
    packets: list[bytes] = []
    for start in range(0, len(pcm) - size, size):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + size], layout="mono")
        frame.sample_rate, frame.pts = rate, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets
