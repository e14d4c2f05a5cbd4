"""Changes the sample rate of speech while it is being made (soxr, by its streaming interface)."""

import numpy as np
import soxr

from shared.audio import Pcm


class Resampler:
    """Mono, any rate to any other. Withholds 22-37 ms until `flush`, so it has no place in a live path."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._ratio = to_rate / from_rate
        self._taken = 0
        self._given = 0
        self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="int16", quality="HQ")

    def push(self, samples: Pcm) -> Pcm:
        self._taken += len(samples)
        return self._count(self._stream.resample_chunk(samples))

    def flush(self) -> Pcm:
        """The rest; together with what `push` gave, as long as what was taken. The resampler is used up."""
        rest = self._stream.resample_chunk(np.zeros(0, dtype=np.int16), last=True)
        return self._count(rest[: max(0, round(self._taken * self._ratio) - self._given)])

    def _count(self, samples: Pcm) -> Pcm:
        self._given += len(samples)
        return samples


def resampled(samples: Pcm, from_rate: int, to_rate: int) -> Pcm:
    """All of a recording at once."""
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate((resampler.push(samples), resampler.flush()))
