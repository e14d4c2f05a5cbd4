"""Whether a known sound is in what was heard, whole and once, whatever pauses came into it.

The known sound is cut into parts of about a word. The first one may be anywhere; each other is looked for where the one
before ended, or later: a pause makes it later. Parts are compared as waveforms: a codec leaves 0.6 and more of the
same sound's correlation.
"""

from typing import Any, NamedTuple

import numpy as np

from deploy.evaluation.sound_line import QUIET_DBFS
from shared.audio import Pcm

_PART_S = 0.3
_SPEECH = 0.15
"""Of the loudest part: what is less loud is a pause."""
_SAME = 0.5
_SLACK_S = 0.025
_LONGEST_PAUSE_S = 4.0
_WINDOW_S = 0.01
_Samples = np.ndarray[Any, np.dtype[np.float64]]


class Likeness(NamedTuple):
    """Times are seconds in the known sound."""

    lost_s: list[float]
    """Where the parts were that were not found."""
    cuts: list["Cut"]


class Cut(NamedTuple):
    """A pause that the known sound has not. Sound is missing around it, or there is too much: what was said twice."""

    at_s: float
    surplus_s: float


def compare(known: Pcm, heard: Pcm, sample_rate: int) -> Likeness:
    known_line, heard_line = known.astype(np.float64), heard.astype(np.float64)
    size, slack = round(_PART_S * sample_rate), round(_SLACK_S * sample_rate)
    reach = size + 2 * slack + round(_LONGEST_PAUSE_S * sample_rate)
    likeness = Likeness([], [])
    last: tuple[int, int] | None = None
    for start in _speech_parts(known_line, size):
        part = known_line[start : start + size]
        due = 0 if last is None else max(0, last[1] + start - last[0] - slack)
        place = _find(part, heard_line[due:] if last is None else heard_line[due : due + reach])
        if place is None:
            likeness.lost_s.append(start / sample_rate)
            continue
        if last is not None and place > 2 * slack:
            sound_s = _sound_s(heard_line[last[1] : due + place + size], sample_rate)
            surplus_s = sound_s - _sound_s(known_line[last[0] : start + size], sample_rate)
            likeness.cuts.append(Cut(start / sample_rate, surplus_s))
        last = start, due + place
    return likeness


def _speech_parts(line: _Samples, size: int) -> list[int]:
    """Where parts begin that hold speech."""
    starts = range(0, len(line) - size + 1, size)
    levels = [float(np.sqrt(np.mean(line[start : start + size] ** 2))) for start in starts]
    return [start for start, level in zip(starts, levels, strict=True) if level > _SPEECH * max(levels)]


def _find(part: _Samples, line: _Samples) -> int | None:
    """Where in `line` the part is, by normalised correlation; None if nowhere."""
    places = len(line) - len(part) + 1
    if places <= 0:
        return None
    size = 1 << (len(line) + len(part) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(line, size) * np.conj(np.fft.rfft(part, size)), size)[:places]
    energy = np.concatenate([[0.0], np.cumsum(line**2)])
    norms = np.sqrt(np.maximum(energy[len(part) :] - energy[:places], 0.0) * (part**2).sum())
    # Where there is next to nothing, rounding errors would resemble anything.
    likeness = np.where(norms > 1e-3 * (part**2).sum(), products / np.maximum(norms, 1.0), 0.0)
    best = int(np.argmax(likeness))
    return best if likeness[best] > _SAME else None


def _sound_s(line: _Samples, sample_rate: int) -> float:
    window = round(_WINDOW_S * sample_rate)
    windows = line[: len(line) // window * window].reshape(-1, window)
    loud = np.sqrt((windows**2).mean(axis=1)) > 32_768 * 10 ** (QUIET_DBFS / 20)
    return float(loud.sum()) * _WINDOW_S
