"""Changes the sample rate of a stream of speech (soxr)."""

import numpy as np
import soxr

from shared.audio import Pcm


class Resampler:
    """Mono, from any rate to any other. Holds back 22-37 ms until `flush`, so it does not suit a live path."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._ratio = to_rate / from_rate
        self._taken = 0
        self._given = 0
        self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="int16", quality="HQ")

    def push(self, samples: Pcm) -> Pcm:
        self._taken += len(samples)
        return self._count(self._stream.resample_chunk(samples))

    def flush(self) -> Pcm:
        """The rest, so that the output is as long as the input. Ends the resampler."""
        rest = self._stream.resample_chunk(np.zeros(0, dtype=np.int16), last=True)
        return self._count(rest[: max(0, round(self._taken * self._ratio) - self._given)])

    def _count(self, samples: Pcm) -> Pcm:
        self._given += len(samples)
        return samples


def resampled(samples: Pcm, from_rate: int, to_rate: int) -> Pcm:
    """Resamples a whole recording."""
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate((resampler.push(samples), resampler.flush()))
