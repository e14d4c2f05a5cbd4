"""Whether received audio holds a known sound completely and once, with or without extra pauses.

The known sound is cut into parts of about a word. The first part may be anywhere; each other part is searched for where
the part before it ended, or later, as after a pause. Parts are compared as waveforms: after a codec, the correlation of
the same sound is still 0.6 or more.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from callers.recording import QUIET_DBFS
from shared.audio import Pcm

_PART_S = 0.3
_SPEECH = 0.15
"""Of the loudest part's level: quieter parts are pauses."""
_SAME = 0.5
_SLACK_S = 0.025
_LONGEST_PAUSE_S = 4.0
_WINDOW_S = 0.01
_Samples = np.ndarray[Any, np.dtype[np.float64]]


class Gap(NamedTuple):
    """A stretch of the known sound that was heard differently, perhaps only with a pause in it.

    If `surplus_s` is far from zero, words were lost or said twice.
    """

    at_s: float
    surplus_s: float


class Likeness(NamedTuple):
    found: float
    """Share of the parts that were found."""
    gaps: list[Gap]


def compare(known: Pcm, heard: Pcm, sample_rate: int) -> Likeness:
    """`heard` may hold other sounds before and after."""
    known_line, heard_line = known.astype(np.float64), heard.astype(np.float64)
    size = round(_PART_S * sample_rate)
    starts = _speech_parts(known_line, size)
    places = _places(known_line, heard_line, starts, sample_rate)
    if not places:
        return Likeness(0.0, [])
    gaps: list[Gap] = []

    def compare_stretch(known_from: int, known_to: int, heard_from: int, heard_to: int) -> None:
        surplus_s = _sound_s(heard_line[max(0, heard_from) : heard_to], sample_rate)
        surplus_s -= _sound_s(known_line[known_from:known_to], sample_rate)
        gaps.append(Gap(known_from / sample_rate, surplus_s))

    first, last = places[0], places[-1]
    if first.start != starts[0]:
        compare_stretch(0, first.start, first.place - first.start, first.place)
    for before, after in pairwise(places):
        if starts.index(after.start) - starts.index(before.start) > 1 or after.is_late:
            compare_stretch(before.start, after.start + size, before.place, after.place + size)
    if last.start != starts[-1]:
        rest = len(known_line) - last.start
        compare_stretch(last.start, len(known_line), last.place, last.place + rest)
    return Likeness(len(places) / len(starts), gaps)


class _Place(NamedTuple):
    start: int
    """Of the part in the known sound."""
    place: int
    """Of the part in what was heard."""
    is_late: bool


def _places(known: _Samples, heard: _Samples, starts: list[int], sample_rate: int) -> list[_Place]:
    """The parts that were found, in order."""
    size, slack = round(_PART_S * sample_rate), round(_SLACK_S * sample_rate)
    near = size + 2 * slack
    far = near + round(_LONGEST_PAUSE_S * sample_rate)
    found: list[_Place] = []
    for start in starts:
        part = known[start : start + size]
        due = max(0, found[-1].place + start - found[-1].start - slack) if found else 0
        place = position_of(part, heard[due : due + near] if found else heard)
        if place is None and found:
            place = position_of(part, heard[due : due + far])
        if place is not None:
            found.append(_Place(start, due + place, bool(found) and place > 2 * slack))
    return found


def _speech_parts(line: _Samples, size: int) -> list[int]:
    """The first samples of the parts that hold speech."""
    starts = range(0, len(line) - size + 1, size)
    levels = [float(np.sqrt(np.mean(line[start : start + size] ** 2))) for start in starts]
    return [start for start, level in zip(starts, levels, strict=True) if level > _SPEECH * max(levels)]


def position_of(part: _Samples, line: _Samples, least: float = _SAME) -> int | None:
    """The position of `part` in `line`, by normalised correlation; None if no correlation is above `least`."""
    places = len(line) - len(part) + 1
    if places <= 0:
        return None
    size = 1 << (len(line) + len(part) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(line, size) * np.conj(np.fft.rfft(part, size)), size)[:places]
    energy = np.concatenate([[0.0], np.cumsum(line**2)])
    norms = np.sqrt(np.maximum(energy[len(part) :] - energy[:places], 0.0) * (part**2).sum())
    # In near silence, rounding errors would correlate with anything.
    likeness = np.where(norms > 1e-3 * (part**2).sum(), products / np.maximum(norms, 1.0), 0.0)
    best = int(np.argmax(likeness))
    return best if likeness[best] > least else None


def _sound_s(line: _Samples, sample_rate: int) -> float:
    window = round(_WINDOW_S * sample_rate)
    windows = line[: len(line) // window * window].reshape(-1, window)
    loud = np.sqrt((windows**2).mean(axis=1)) > 32_768 * 10 ** (QUIET_DBFS / 20)
    return float(loud.sum()) * _WINDOW_S
