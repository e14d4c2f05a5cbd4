"""What a sentence asks for: the intent whose examples it resembles most, by meaning and by words.

Both the sentence and the examples have the same words in place of values, so "a table for two" is as near to "a table
for nine people" as can be. What resembles the examples of no intent, or things that are none more, asks for nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.scripted.sentence_vectors import Vectors

_MEANING = 0.65
"""Share of the meaning in a resemblance; the rest is the share of common words. Chosen on the sentences of
tests/agents/front-desk."""
_PART_COSTS = 0.12
_CLAUSE_END = re.compile(r"[.?!;:\n]+\s*|,\s+|\s+-+\s+")
_SENTENCE_END = re.compile(r"[.?!;\n]+\s*")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_FILLERS = frozenset("um uh er erm hmm ah oh well so like please just hi hello hey actually maybe really kindly".split())


class IntentMatcher:
    """`examples` by the intent's name, with None for what is none; `vectors_of` makes vectors of length 1."""

    def __init__(
        self, examples: Mapping[str | None, Sequence[str]], vectors_of: Callable[[Sequence[str]], Vectors]
    ) -> None:
        self._vectors_of = vectors_of
        self._names = [name for name, texts in examples.items() for _ in texts]
        texts = [text for texts in examples.values() for text in texts]
        self._vectors = vectors_of([plain(text) for text in texts])
        words = [stems(text) for text in texts]
        spread = Counter(word for one in words for word in set(one))
        self._rarity = {word: log(1 + len(texts) / count) for word, count in spread.items()}
        self._unknown = log(1 + len(texts))
        self._bags = [self._bag(one) for one in words]

    def resemblances(self, text: str) -> list[tuple[str, dict[str | None, float]]]:
        """Of the whole of `text` and of each of its sentences and clauses: how much it resembles each name's examples.

        A part counts for less than the whole: whoever rambles asks in one of them, but it may mean something else there.
        """
        parts = _parts(text)
        if not parts:
            return []
        vectors = self._vectors_of([plain(part) for part in parts])
        return [
            (part, {name: score * (1 - _PART_COSTS * (1 - len(part) / len(parts[0]))) for name, score in self._scores(part, vector).items()})
            for part, vector in zip(parts, vectors, strict=True)
        ]

    def _scores(self, part: str, vector: NDArray[np.float32]) -> dict[str | None, float]:
        bag = self._bag(stems(part))
        of_examples: dict[str | None, list[float]] = {}
        for name, near, other in zip(self._names, self._vectors @ vector, self._bags, strict=True):
            shared = sum(weight * other[word] for word, weight in bag.items() if word in other)
            of_examples.setdefault(name, []).append(_MEANING * float(near) + (1 - _MEANING) * shared)
        return {name: _score(scores) for name, scores in of_examples.items()}

    def _bag(self, words: Sequence[str]) -> dict[str, float]:
        weights = {word: self._rarity.get(word, self._unknown) for word in words}
        length = sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items()}


def _score(of_examples: Sequence[float]) -> float:
    """Mostly the nearest example's; a second one that is near confirms it."""
    first, second = sorted([*of_examples, 0.0], reverse=True)[:2]
    return 0.9 * first + 0.1 * second


def plain(text: str) -> str:
    """In small letters, without fillers: how a sentence is written must not matter."""
    words = [word for word in _WORD.findall(text.lower()) if word not in _FILLERS]
    return " ".join(words) or text.lower()


def stems(text: str) -> list[str]:
    """The words of `text` without common English endings."""
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _FILLERS]


def _stem(word: str) -> str:
    for ending in ("ings", "ing", "'s", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _parts(text: str) -> list[str]:
    """The whole, its sentences and its clauses: whoever rambles asks in one of them."""
    whole = text.strip()
    parts = [whole, *_SENTENCE_END.split(whole), *_CLAUSE_END.split(whole)]
    return list(dict.fromkeys(part for part in parts if _WORD.search(part)))
