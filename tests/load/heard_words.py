"""Tone words in a recording, with the time at which each was heard, and the silences between them."""

from collections.abc import Sequence
from typing import NamedTuple

from callers.recording import Recording
from tests.load.tone_words import GAP_S, TONE_S, words_in


class HeardWord(NamedTuple):
    text: str
    at_s: float


def heard_words(recording: Recording, rate: int, since_s: float = 0.0) -> list[HeardWord]:
    first_s = recording.first_sample_s(since_s)
    found = words_in(recording.samples(since_s), rate)
    return [HeardWord(word.text, first_s + word.first_sample / rate) for word in found]


def silences(words: Sequence[HeardWord], due_s: float, ended_s: float | None = None) -> list[tuple[float, float]]:
    """Beginning and end of each stretch in which the next word was due, and not heard.

    The first one is due at `due_s`. If words are missing at the end, `ended_s` is when that was clear.
    """
    due = [due_s, *(word.at_s + TONE_S + GAP_S for word in words)]
    heard = [*(word.at_s for word in words), *(() if ended_s is None else (ended_s,))]
    return [(since_s, at_s) for since_s, at_s in zip(due, heard, strict=False) if at_s > since_s]
