"""One of a list of things, by the words that callers use for it: "any fish dishes?" names the choice "fish"."""

import re
from collections.abc import Iterator, Mapping, Sequence

from pipeline_worker.engines.scripted.values.sentence import Found


def singular_or_plural(words: Sequence[str]) -> str:
    """A regular expression for any of `words`, also in the plural: "dish" and "dishes"."""
    # Longer ones first, or "fish" would hide "fish soup".
    return r"(?:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + r")(?:e?s)?\b"


def pattern_of(words: Sequence[str]) -> re.Pattern[str]:
    """Any of `words` in capitals or small letters, also in the plural."""
    return re.compile(rf"\b{singular_or_plural(words)}", re.IGNORECASE)


def find(text: str, patterns: Mapping[str, re.Pattern[str]]) -> Iterator[Found]:
    """The choices named in `text`, each as its key in `patterns`."""
    for key, pattern in patterns.items():
        for match in pattern.finditer(text):
            yield Found(match.start(), match.end(), key)
