"""Aligns a sentence's phonemes with its words.

Spaces between phonemes are not enough: eSpeak NG turns "7:30" into two words and "of the" into one. So each word is
also converted alone, and the concatenated words are aligned with the sentence at the lowest edit cost. Words sound
different in context ("a", "to"), but keep their order and most of their phonemes.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SPACE = " "
_STRESS = "ˈˌ"
_LENGTH = "ːˑʲ"
_SKIP = 2
_REPLACE = 3
_SKIP_SPACE = 1
_NEVER = 1000
"""A sound never replaces a space."""


def ends_of_words(sentence: Sequence[str], words: Sequence[Sequence[str]]) -> list[int]:
    """For each word, the index after its last phoneme in `sentence`. Never decreases."""
    kept = [index for index, phoneme in enumerate(sentence) if phoneme == _SPACE or _is_sound(phoneme)]
    symbols = [sentence[index] for index in kept]
    row: list[str] = []
    ends_in_row = []
    for word in words:
        row += [_SPACE] if row and row[-1] != _SPACE else []
        row += [phoneme for phoneme in word if phoneme == _SPACE or _is_sound(phoneme)]
        while row and row[-1] == _SPACE:
            row.pop()
        ends_in_row.append(len(row))
    places = _aligned(row, symbols)
    ends = []
    for end_in_row in ends_in_row:
        end = places[end_in_row]
        while end and symbols[end - 1] == _SPACE:
            end -= 1
        ends.append(_with_marks(sentence, kept[end - 1] + 1) if end else 0)
    return ends


def _is_sound(phoneme: str) -> bool:
    """Excludes punctuation, and marks of stress and length, which depend on context."""
    return phoneme.isalpha() and phoneme not in _STRESS + _LENGTH


def _with_marks(sentence: Sequence[str], end: int) -> int:
    """Extends `end` past the marks that follow its sound."""
    while end < len(sentence) and (sentence[end] in _LENGTH or unicodedata.category(sentence[end][0])[0] in "MN"):
        end += 1
    return end


def _aligned(row: Sequence[str], symbols: Sequence[str]) -> list[int]:
    """For each prefix of `row`, the length of the prefix of `symbols` that corresponds to it."""
    alphabet = {symbol: number for number, symbol in enumerate({_SPACE: 0, **dict.fromkeys([*row, *symbols], 0)})}
    columns = np.array([alphabet[symbol] for symbol in symbols], dtype=np.int64)
    skip_column = np.concatenate(([0], np.cumsum(np.where(columns == 0, _SKIP_SPACE, _SKIP))))
    costs: NDArray[np.int64] = np.empty((len(row) + 1, len(columns) + 1), dtype=np.int64)
    costs[0] = skip_column
    replacing = np.empty((len(row), len(columns)), dtype=np.int64)
    skipping = [_SKIP_SPACE if symbol == _SPACE else _SKIP for symbol in row]
    for index, symbol in enumerate(row):
        other = np.where(columns == 0, _NEVER, _NEVER if symbol == _SPACE else _REPLACE)
        replacing[index] = np.where(columns == alphabet[symbol], 0, other)
        entered = costs[index] + skipping[index]
        entered[1:] = np.minimum(entered[1:], costs[index, :-1] + replacing[index])
        # The cheapest way into each cell from the left, for the whole row at once.
        costs[index + 1] = np.minimum.accumulate(entered - skip_column) + skip_column
    places = [0] * (len(row) + 1)
    at, column = len(row), len(columns)
    places[at] = column
    while at:
        here = costs[at, column]
        if column and here == costs[at - 1, column - 1] + replacing[at - 1, column - 1]:
            at, column = at - 1, column - 1
        elif here == costs[at - 1, column] + skipping[at - 1]:
            at -= 1
        else:
            column -= 1
            continue
        places[at] = column
    return places
