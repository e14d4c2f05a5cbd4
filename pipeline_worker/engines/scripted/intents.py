"""The intent matcher: how much a sentence resembles the examples of each intent.

Resemblance is the cosine of two vectors, which combine a sentence's meaning and its words, weighted by rarity (tf-idf).
A part of a sentence may resemble an example more than the whole: long sentences often ask in one part only.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.scripted.sentence_vectors import Vectors
from pipeline_worker.engines.scripted.values.sentence import word_list

_MEANING = 0.65
"""Weight of the meaning; words have the rest. Tuned on the sentences of tests/agents."""
_PART_COSTS = 0.12
"""What a very short part loses against the whole, where it may mean something else."""
_SECOND_COUNTS = 0.1
"""Weight of the second nearest example, which confirms the nearest."""
_MOST_PARTS = 8
"""Each costs about 1 ms."""
_SENTENCE_END = re.compile(r"[.?!;\n]+\s*")
_CLAUSE_END = re.compile(r"[.?!;:\n]+\s*|,\s+|\s+[-–—]+\s+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_FILLERS = frozenset(
    word_list("um uh er erm hmm ah oh well so like please just hi hello hey actually maybe really kindly")
)
_EMPTY = frozenset(word_list("""
    a an the i me my we you it is was in on at of to for and or but so that this then there here by too no
    sorry wait mean be would 's know see i'm it's that's
"""))  # fmt: skip
"""Words that do not show what a sentence is about."""
_CONTRACTIONS = {
    "d'you": "do you", "wanna": "want to", "gonna": "going to", "y'all": "you", "d'ya": "do you", "cuppa": "coffee",
}  # fmt: skip
_ENDINGS = ("ings", "ing", "'s", "ies", "es", "ed", "s")

Scores = dict[str | None, float]
"""Resemblance to the examples of each intent, up to 1. None: out of scope."""


class Part(NamedTuple):
    text: str
    scores: Scores


class IntentMatcher:
    """`examples` by intent; `vectors_of` returns vectors of length 1."""

    def __init__(
        self, examples: Mapping[str | None, Sequence[str]], vectors_of: Callable[[Sequence[str]], Vectors]
    ) -> None:
        self._vectors_of = vectors_of
        texts = [text for of_name in examples.values() for text in of_name]
        self._names = list(examples)
        self._ends = np.cumsum([len(of_name) for of_name in examples.values()])
        spread = Counter(word for text in texts for word in set(words(text)))
        self._index = {word: index for index, word in enumerate(spread)}
        self._weights = np.array([log(1 + len(texts) / count) for count in spread.values()], dtype=np.float32)
        self._unknown_weight = log(1 + len(texts))
        self._examples = self._vectors(texts)

    def parts(self, text: str) -> list[Part]:
        """`text`, its sentences and clauses, at most `_MOST_PARTS`, with the scores of each. Empty without words."""
        parts = _parts(text)
        if not parts:
            return []
        lengths = np.array([len(part) for part in parts]) / len(parts[0])
        near = (self._vectors(parts) @ self._examples.T) * (1 - _PART_COSTS * (1 - lengths))[:, None]
        return [Part(part, self._scores(row)) for part, row in zip(parts, near, strict=True)]

    def _scores(self, near: NDArray[np.float32]) -> Scores:
        scores: Scores = {}
        for name, of_name in zip(self._names, np.split(near, self._ends[:-1]), strict=True):
            second, first = np.partition(np.append(of_name, 0.0), -2)[-2:]
            scores[name] = float((1 - _SECOND_COUNTS) * first + _SECOND_COUNTS * second)
        return scores

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        bags = np.zeros((len(texts), len(self._index)), dtype=np.float32)
        for row, text in zip(bags, texts, strict=True):
            unknown = 0
            for word in set(words(text)):
                if (index := self._index.get(word)) is None:
                    unknown += 1
                else:
                    row[index] = self._weights[index]
            row /= np.sqrt(np.sum(row**2) + unknown * self._unknown_weight**2) or 1.0
        meanings = self._vectors_of([plain(text) for text in texts])
        return np.hstack([_MEANING**0.5 * meanings, (1 - _MEANING) ** 0.5 * bags])


def _said_in_full(text: str) -> str:
    """Expands contractions that the examples do not contain."""
    for short, full in _CONTRACTIONS.items():
        text = text.replace(short, full)
    return text


def plain(text: str) -> str:
    """`text` in lower case, without fillers and punctuation."""
    kept = [word for word in _WORD.findall(_said_in_full(text.lower())) if word not in _FILLERS]
    return " ".join(kept) or text.lower()


def says_something(text: str) -> bool:
    """Whether any word shows what `text` is about."""
    return any(word not in _EMPTY for word in words(text))


def words(text: str) -> list[str]:
    """The words of `text` without common English endings, and without fillers."""
    return [_stem(word) for word in _WORD.findall(_said_in_full(text.lower())) if word not in _FILLERS]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _parts(text: str) -> list[str]:
    whole = text.strip()
    parts = [whole, *_SENTENCE_END.split(whole), *_CLAUSE_END.split(whole)]
    different = dict.fromkeys(filter(says_something, parts))
    return list(islice(different, _MOST_PARTS)) or [whole] * bool(_WORD.search(whole))
