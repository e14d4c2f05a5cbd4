"""Received audio, and when there was sound in it, in windows of 10 ms.

A packet's position is its RTP timestamp. The packet with the least delay maps positions to the clock: all others were
only delayed on the way, which a listener's jitter buffer hides.
"""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np

from shared.audio import Pcm, level_dbfs

QUIET_DBFS = -50.0
_WINDOW_S = 0.01
_PAUSE_S = 0.2
"""A shorter silence is a pause within speech."""


class Span(NamedTuple):
    """Seconds from the first sample to the beginning and the end of the sound."""

    onset_s: float
    end_s: float


def loud_span(samples: Pcm, sample_rate: int) -> Span:
    """The loud part of `samples`; all of them if none is loud."""
    window = round(_WINDOW_S * sample_rate)
    loud = [at for at in range(0, len(samples), window) if level_dbfs(samples[at : at + window]) > QUIET_DBFS]
    if not loud:
        return Span(0.0, len(samples) / sample_rate)
    return Span(loud[0] / sample_rate, min(loud[-1] + window, len(samples)) / sample_rate)


class Recording:
    """Takes audio in order. All times are of the clock, in seconds."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._offset_s = float("inf")
        self._loud: list[float] = []
        """Positions of the loud windows."""
        self._pieces: list[tuple[float, Pcm]] = []

    def add(self, position_s: float, samples: Pcm, arrived_s: float) -> None:
        """Append `samples`, whose position in the stream is `position_s`."""
        self._offset_s = min(self._offset_s, arrived_s - position_s)
        self._pieces.append((position_s, samples))
        window = round(_WINDOW_S * self._rate)
        for at in range(0, len(samples), window):
            if level_dbfs(samples[at : at + window]) > QUIET_DBFS:
                self._loud.append(position_s + at / self._rate)

    def first_sample_s(self, since_s: float = 0.0) -> float:
        """When the first sample of `samples(since_s)` was heard; infinite if there is none."""
        times = (position_s + self._offset_s for position_s, _ in self._pieces)
        return next((at_s for at_s in times if at_s >= since_s), float("inf"))

    def position_at(self, arrived_s: float) -> float:
        """Where another stream goes on, whose first packet has arrived now: never before the end of the last one."""
        if not self._pieces:
            return 0.0
        position_s, samples = self._pieces[-1]
        return max(arrived_s - self._offset_s, position_s + len(samples) / self._rate)

    def sound_s(self, since_s: float) -> float:
        """How long there was sound since then, without the pauses between words."""
        return _WINDOW_S * (len(self._loud) - self._index(since_s))

    def first_after(self, at_s: float) -> float | None:
        """When sound was first heard at `at_s` or later."""
        index = self._index(at_s)
        return self._loud[index] + self._offset_s if index < len(self._loud) else None

    def onset_after(self, at_s: float) -> float | None:
        """When sound began at `at_s` or later, after a silence longer than a pause between words."""
        for index in range(self._index(at_s), len(self._loud)):
            if index == 0 or self._loud[index] - self._loud[index - 1] > _PAUSE_S + _WINDOW_S:
                return self._loud[index] + self._offset_s
        return None

    def is_silent(self, now_s: float, for_s: float) -> bool:
        """Whether there has been no sound in the last `for_s`."""
        return self._index(now_s - for_s) == len(self._loud)

    def silent_from(self, at_s: float, now_s: float, for_s: float) -> float | None:
        """The first moment at or after `at_s` that `for_s` of silence follow; None if there is none yet."""
        silent_from_s = at_s
        for position in self._loud[self._index(at_s) :]:
            loud_at_s = position + self._offset_s
            if loud_at_s - silent_from_s >= for_s:
                break
            silent_from_s = loud_at_s + _WINDOW_S
        else:
            return silent_from_s if now_s - silent_from_s >= for_s else None
        return silent_from_s

    def spans(self) -> list[tuple[float, float]]:
        """Beginning and end of each stretch of sound, with the pauses between words."""
        found: list[tuple[float, float]] = []
        for position in self._loud:
            at_s = position + self._offset_s
            if found and at_s - found[-1][1] <= 2 * _PAUSE_S:
                found[-1] = found[-1][0], at_s + _WINDOW_S
            else:
                found.append((at_s, at_s + _WINDOW_S))
        return found

    def samples(self, since_s: float = 0.0) -> Pcm:
        """All audio since then, with zeros where nothing was received."""
        pieces = [piece for piece in self._pieces if piece[0] + self._offset_s >= since_s]
        if not pieces:
            return np.zeros(0, np.int16)
        first = pieces[0][0]
        last_position, last = pieces[-1]
        line = np.zeros(round((last_position - first) * self._rate) + len(last), np.int16)
        for position_s, samples in pieces:
            at = round((position_s - first) * self._rate)
            line[at : at + len(samples)] = samples
        return line

    def _index(self, at_s: float) -> int:
        return bisect_left(self._loud, at_s - self._offset_s - 1e-6)
