"""Speech for load tests, by the embedded engine, as PCM and as the Opus packets of a browser."""

import asyncio
import functools

import numpy as np

from callers import opus_packets
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
    return opus_packets.browser_packets(speech(rate), rate, with_fec=wideband, bitrate=bitrate)
