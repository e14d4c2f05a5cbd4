"""Objective quality of a damaged sound, compared with the clean one. Both are 16 kHz mono and aligned."""

import importlib
from typing import Any

import numpy as np

from shared.audio import Pcm

_RATE = 16_000
_FRAME = 512
_FLOOR = 26.0**2 * _FRAME / 4
"""Room noise in one bin: the threshold of hearing."""
_LOUD_WITHIN_DB = 40


def log_spectral_distance_db(clean: Pcm, other: Pcm) -> float:
    """RMS difference of the log spectra, over 32 ms frames in which the clean sound is loud."""
    ours, theirs = _log_spectra(clean), _log_spectra(other)
    loudness = ours.mean(axis=1)
    loud = loudness > loudness.max() - _LOUD_WITHIN_DB
    return float(np.sqrt(((ours - theirs)[loud] ** 2).mean(axis=1)).mean())


def pesq(clean: Pcm, other: Pcm) -> float | None:
    """ITU-T P.862.2 wideband (4.64 is best, 1.04 worst); None without the package `pesq`.

    The package has no wheels, so it is optional. `pip install pesq` needs a C compiler.
    """
    try:
        package = importlib.import_module("pesq")
    except ImportError:
        return None
    try:
        return float(package.pesq(_RATE, clean, other, "wb"))
    except package.NoUtterancesError:
        return None


def _log_spectra(pcm: Pcm) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """[frames, bins] in dB."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm.astype(np.float64), _FRAME)[:: _FRAME // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(_FRAME))) ** 2
    return np.asarray(10 * np.log10(power + _FLOOR))
