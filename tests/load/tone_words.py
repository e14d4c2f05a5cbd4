"""Words that are pairs of tones, so that a text can be read back from its sound exactly.

A word is `w0` to `w255`: one tone of a low group with one of a high group for 160 ms, then 60 ms of silence. Speech
recognition makes mistakes, which a benchmark of turn taking cannot accept.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.protocols import Word
from shared.audio import Pcm

WORDS = 256
TONE_S, GAP_S = 0.16, 0.06
_LOW_HZ = 500.0 + 75.0 * np.arange(16)
_HIGH_HZ = 1_900.0 + 100.0 * np.arange(16)
_LEVEL = 5_000.0
_FADE_S = 0.005
_STEP_S = 0.005
_BRIDGED_S = 0.03
"""A shorter gap does not split a word: a word that was paused and resumed is one word."""
_LOUD = 800.0
_HEARD_SHARE = 0.6
"""If less of a word was heard, the word does not count."""

Spectrum = NDArray[np.float64]


class ToneWord(NamedTuple):
    text: str
    first_sample: int


class Account(NamedTuple):
    """What became of the words of a text. A word that was cut off may count as lost, strange, or both."""

    lost: int
    doubled: int
    strange: int


def text_of(words: int, in_a_sentence: int = 4) -> str:
    """The first `words` words, as sentences."""
    ends = [number + 1 == words or (number + 1) % in_a_sentence == 0 for number in range(words)]
    return " ".join(name(number) + "." * end for number, end in enumerate(ends))


def account(text: str, heard: Iterable[str]) -> Account:
    """Compare the words that were heard with those of `text`, in which each occurs once."""
    said, counts = set(map(name, numbers(text))), Counter(heard)
    return Account(
        len(said - counts.keys()),
        sum(count - 1 for word, count in counts.items() if word in said),
        sum(count for word, count in counts.items() if word not in said),
    )


def name(number: int) -> str:
    return f"w{number % WORDS}"


def numbers(text: str) -> list[int]:
    """The numbers of the words in `text`."""
    return [int(number) for number in re.findall(r"\bw(\d+)\b", text)]


def speak(text: str, rate: int) -> tuple[Pcm, tuple[Word, ...]]:
    """The sound of `text`, and the end of each word."""
    pieces, words, position = [], [], 0
    for number in numbers(text):
        tone, gap = _tone(number, rate), np.zeros(int(GAP_S * rate), dtype=np.int16)
        pieces += [tone, gap]
        words.append(Word(name(number), position + len(tone)))
        position += len(tone) + len(gap)
    return np.concatenate([np.zeros(0, np.int16), *pieces]), tuple(words)


def words_in(pcm: Pcm, rate: int) -> list[ToneWord]:
    """The words of which most was heard, in order."""
    step = int(_STEP_S * rate)
    blocks = pcm[: len(pcm) // step * step].reshape(-1, step).astype(np.float64)
    loud = np.flatnonzero(np.sqrt(np.mean(blocks**2, axis=1)) > _LOUD)
    if not len(loud):
        return []
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > _BRIDGED_S / _STEP_S) + 1)
    least = _HEARD_SHARE * TONE_S / _STEP_S
    return [
        ToneWord(name(_recognised(_unbroken(pcm, run, step), rate)), int(run[0]) * step)
        for run in runs
        if len(run) >= least
    ]


def _unbroken(pcm: Pcm, run: NDArray[np.intp], step: int) -> Pcm:
    """The longer part of a paused word. The phase jumps at the pause, which would distort the spectrum of the whole."""
    part = max(np.split(run, np.flatnonzero(np.diff(run) > 1) + 1), key=len)
    return pcm[part[0] * step : (part[-1] + 1) * step]


def _tone(number: int, rate: int) -> Pcm:
    times = np.arange(int(TONE_S * rate)) / rate
    low, high = _LOW_HZ[number % 16], _HIGH_HZ[number // 16 % 16]
    ramp = np.minimum(1.0, np.minimum(times, times[::-1]) / _FADE_S)
    sound = ramp * _LEVEL * (np.sin(2 * np.pi * low * times) + np.sin(2 * np.pi * high * times))
    return cast(Pcm, sound.astype(np.int16))


def _recognised(pcm: Pcm, rate: int) -> int:
    size = 8_192
    spectrum: Spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)), size))

    def strongest(frequencies: NDArray[Any]) -> int:
        return int(np.argmax([spectrum[round(hz * size / rate)] for hz in frequencies]))

    return strongest(_HIGH_HZ) * 16 + strongest(_LOW_HZ)
