"""How many words were misheard. Other spellings of the same words ("7:30", "half past seven") are equal."""

import re
from collections.abc import Sequence

from text_to_num import alpha2digit

from callers.words import words

_WRITTEN = (
    (re.compile(r"[$£€]\s?(\d[\d,]*)\.(\d\d)\b"), r"\1 dollars and \2 cents"),
    (re.compile(r"[$£€]\s?(\d[\d,]*)"), r"\1 dollars"),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
    (re.compile(r"%"), " percent"),
    (re.compile(r"&"), " and "),
    (re.compile(r"\b([ap])\.\s?m\b\.?"), r"\1m"),
    (re.compile(r"(\d)([ap]m)\b"), r"\1 \2"),
    (re.compile(r"\b(\d{1,2}):00\b"), r"\1"),
    (re.compile(r"\bhalf past (\d{1,2})\b"), r"\1 30"),
    (re.compile(r"\b(?:a )?quarter past (\d{1,2})\b"), r"\1 15"),
    (re.compile(r"\b(?:a )?quarter (?:to|of) (\d{1,2})\b"), lambda found: f"{int(found[1]) - 1 or 12} 45"),
)
"""In lower case and digits."""
_SAME = {"okay": "ok", "theatre": "theater", "centre": "center", "colour": "color", "favourite": "favorite"}
_HYPHEN = re.compile(r"(?<=\w)[-–—](?=\w)")
_ARTICLE_OF_A_NUMBER = re.compile(r"\ba (?=\d{3,}\b)")


def compared(text: str) -> list[str]:
    """The words of `text` as they are compared. Figures that follow one another are one word: "5 5 0" is "550"."""
    plain = alpha2digit(" ".join(_HYPHEN.sub(" ", text.replace("’", "'")).split()).lower(), "en", 0.0)
    for pattern, meaning in _WRITTEN:
        plain = pattern.sub(meaning, plain)
    found: list[str] = []
    for word in words(_ARTICLE_OF_A_NUMBER.sub("", plain)):
        if word.isdecimal() and found and found[-1].isdecimal():
            found[-1] += word
        else:
            found.append(_SAME.get(word, word))
    return found


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest words to replace, remove and insert (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        before, row = row, [number]
        for at, other in enumerate(heard):
            row.append(min(before[at] + (word != other), before[at + 1] + 1, row[at] + 1))
    return row[-1]
