"""Finds the sound in an utterance by the energy of 20 ms frames, relative to the utterance's own noise.

Sound mistaken for silence costs words; silence mistaken for sound costs a pass of the model. So everything counts as
sound that is not clearly as quiet as the quietest moments, and in noise nearly as loud as the speaker, everything does.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FRAME_BYTES = 640
"""20 ms of 16 kHz, 16 bit, mono."""
_FLOOR_FRAMES = 5
"""A moment: longer than the silence in a consonant."""
_ABOVE_FLOOR = 4.0
"""6 dB. A moment of steady noise is within 1 dB of the others."""
_BELOW_LOUDEST = 1 / 30
"""-15 dB. A higher floor is a voice without a pause."""
_NOTHING = 100.0
"""-70 dBFS: digital silence, and the residue of a noise filter."""

_Powers = NDArray[np.float64]


class Stretch(NamedTuple):
    """From the beginning of the first sound to the end of the last, in frames."""

    first: int
    end: int


def powers(pcm: bytes | bytearray) -> _Powers:
    """The mean square of each whole frame."""
    whole = len(pcm) // FRAME_BYTES
    samples = np.frombuffer(pcm, dtype="<i2", count=whole * FRAME_BYTES // 2).astype(np.float64)
    frames = samples.reshape(whole, FRAME_BYTES // 2)
    means: _Powers = np.einsum("ij,ij->i", frames, frames) / (FRAME_BYTES // 2)
    return means


def sounding(frame_powers: _Powers) -> Stretch | None:
    """None if there is no sound."""
    loudest = frame_powers.max(initial=0.0)
    if loudest <= _NOTHING:
        return None
    floor = _moments(frame_powers[frame_powers > _NOTHING]).min(initial=loudest * _BELOW_LOUDEST)
    [sounds] = np.nonzero(frame_powers > max(_NOTHING, floor * _ABOVE_FLOOR))
    return Stretch(int(sounds[0]), int(sounds[-1]) + 1)


def quietest(frame_powers: _Powers) -> int:
    """The frame in the middle of the quietest moment."""
    return int(_moments(frame_powers).argmin()) + _FLOOR_FRAMES // 2


def _moments(frame_powers: _Powers) -> _Powers:
    """The mean power of each moment; with too few frames for one, the mean of all."""
    frames = min(_FLOOR_FRAMES, len(frame_powers))
    return np.convolve(frame_powers, np.full(frames, 1 / frames), "valid")
