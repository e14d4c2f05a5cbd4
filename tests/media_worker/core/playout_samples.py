"""Input is a ramp, so that each sample shows its position."""

import numpy as np

from media_worker.core.playout import FADE_MS, Ended, Frame, PlayoutBuffer
from shared.audio import Pcm, as_samples

RATE = 8_000
FRAME = RATE // 50
FADE = RATE * FADE_MS // 1000


def ramp(first: int, samples: int) -> bytes:
    return ((np.arange(first, first + samples) % 30_000) + 1).astype("<i2").tobytes()


def as_ramp(first: int, samples: int) -> list[int]:
    return [int(sample) for sample in as_samples(ramp(first, samples))]


def frame_of(taken: Frame | Ended | None) -> Frame:
    assert isinstance(taken, Frame)
    return taken


def pcm_of(taken: Frame | Ended | None) -> Pcm:
    return as_samples(frame_of(taken).pcm)


def play_until(buffer: PlayoutBuffer, *, ends: str, limit: int = 2_000) -> list[int]:
    """All samples of the frames that come before `Ended(ends)`."""
    out: list[int] = []
    for _ in range(limit):
        taken = buffer.take()
        if isinstance(taken, Frame):
            out += as_samples(taken.pcm).tolist()
        elif taken is not None:
            assert taken == Ended(ends)  # type: ignore[arg-type]
            return out
    raise AssertionError(f"never {ends}")
