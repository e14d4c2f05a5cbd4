"""Words of real speech in what a caller heard, by a recogniser that has nothing to do with the voice's own word times.

A recogniser errs now and then, and invents words for a word that was cut off. So words are counted by their alignment
with the known text: a misheard word counts as heard, a missing or extra one does not, and what follows the last word
that was understood is no evidence that more was heard.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline_worker.text.words import words_of
from shared.audio import Pcm

RATE = 16_000
TEXT = (
    "Yes, we have warm bread, fresh salad and green apples for your breakfast. "
    "Our garden is open until sunset, so bring the children, blankets with some music. "
    "My brother will paint this old wooden door blue on Monday, before winter comes again."
)
"""About 14 s of distinct words that the recogniser understands from the shipped voice."""
WORDS: tuple[str, ...] = tuple(words_of(TEXT))
_BLOCK = RATE // 100
_LOUD_RMS = 100.0


class Compared(NamedTuple):
    """Recognised words, aligned with the beginning of a text."""

    understood: int
    """The position in the text, from 1, of the last word that was understood."""
    misheard: int
    lost: int
    added: int
    """All three count up to the last word that was understood."""


def compared(heard: Sequence[str], text: Sequence[str] = WORDS) -> Compared:
    """The alignment of `heard` with any beginning of `text` that needs the fewest edits (Levenshtein)."""
    costs = [list(range(len(heard) + 1))]
    for number, word in enumerate(text, 1):
        row = [number]
        for at, other in enumerate(heard):
            row.append(min(costs[-1][at] + (word != other), costs[-1][at + 1] + 1, row[at] + 1))
        costs.append(row)
    said, at = min(range(len(costs)), key=lambda number: costs[number][-1]), len(heard)
    understood = misheard = lost = added = 0
    while said or at:
        cost = costs[said][at]
        # Prefer additions: of a repeated word, the first occurrence counts.
        if at and cost == costs[said][at - 1] + 1:
            at, added = at - 1, added + 1
        elif said and at and cost == costs[said - 1][at - 1] + (differs := text[said - 1] != heard[at - 1]):
            said, at = said - 1, at - 1
            if not differs and not understood:
                understood, misheard, lost, added = said + 1, 0, 0, 0
            misheard += differs
        else:
            said, lost = said - 1, lost + 1
    return Compared(understood, misheard, lost, added) if understood else Compared(0, 0, 0, 0)


def loud_s(pcm: Pcm) -> float:
    """The length of the sound without silences. A lost or repeated word changes it."""
    blocks = pcm[: len(pcm) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).astype(np.float64)
    return float((np.sqrt((blocks**2).mean(axis=1)) > _LOUD_RMS).sum()) * _BLOCK / RATE
