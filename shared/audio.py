"""Audio arithmetic on 16-bit little-endian PCM. Positions count samples; times are milliseconds."""

import math

import numpy as np
from numpy.typing import NDArray

UPLINK_RATE = 16_000
"""Sample rate, in Hz, of the mono audio that goes from the media worker to the pipeline."""

PTIME_MS = 20
"""Length of one packet and one frame (RFC 7587 recommends 20 ms)."""

BYTES_PER_SAMPLE = 2
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
"""The rates that Opus encodes without resampling (RFC 6716 §2)."""

Pcm = NDArray[np.int16]
_INT16 = np.dtype("<i2")


def samples_in(duration_ms: float, sample_rate: int) -> int:
    return round(duration_ms * sample_rate / 1000)


def duration_ms(samples: int, sample_rate: int) -> float:
    return samples * 1000 / sample_rate


def as_samples(pcm: bytes) -> Pcm:
    """`pcm` as int16 samples, without a copy."""
    return np.frombuffer(pcm, _INT16)


def level_dbfs(samples: Pcm) -> float:
    """RMS level relative to full scale; -inf for silence or no samples."""
    if not len(samples):
        return -math.inf
    mean_square = float(np.mean(np.square(samples.astype(np.float64))))
    return -math.inf if mean_square == 0 else 10 * math.log10(mean_square / 32768**2)


def fade_out(samples: Pcm) -> Pcm:
    """`samples` faded linearly to zero, so that a cut does not click."""
    ramp = np.linspace(1.0, 0.0, num=len(samples), dtype=np.float32)
    faded: Pcm = (samples * ramp).astype("<i2")
    return faded
