"""A sentence in the form in which values are looked for, and what was found in it."""

import re
from typing import Any, NamedTuple

from text_to_num import alpha2digit

_NUMBER_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    r"eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
)
_HYPHEN = re.compile(r"(?<=[a-z])[-–](?=[a-z])")
_ENDING = re.compile(rf"\b({_NUMBER_WORD})(?=ish\b|'s\b)", re.IGNORECASE)
_JUST_THE_ONE = re.compile(r"\b(just|only) the one\b", re.IGNORECASE)
_NO_NUMBER = re.compile(
    r"(\b(?:the|this|that|which|any|no|every|each|some|last|next|another|other) one\b(?! (?:of us|person|o'? ?clock))|\bones\b|\bone (?:more |last |other )?(?:time|thing|question|moment|minute)\b|\bone (?:has|is|of us has|'s) (?:dropped|cancelled|canceled)\b"
    r"|\b(?:first|second)(?= (?:names?|thing|of all|time|times|floor|choice|course|thoughts?|date|visit|table|birthday|anniversary|person|guest|half)\b)|\b(?:a|one|wait a|just a) seconds?\b(?! of))",
    re.IGNORECASE,
)


class Found(NamedTuple):
    """A value in a sentence, from character `start` up to `end`."""

    start: int
    end: int
    value: Any
    sure: bool = True
    """Otherwise a bare number, which may be a value of another kind as well."""
    explicit: bool = False
    """Of a day: it has a date, not just a day of the week."""


def with_figures(text: str) -> str:
    """`text` with its English number words as figures: "half past seven" becomes "half past 7"."""
    plain = _HYPHEN.sub(" ", text.replace("’", "'"))
    plain = _ENDING.sub(r"\1 ", _JUST_THE_ONE.sub(r"\1 one person", plain))
    pieces = _NO_NUMBER.split(" ".join(plain.split()))
    return "".join(piece if index % 2 else _figures(piece) for index, piece in enumerate(pieces))


def _figures(text: str) -> str:
    inner = text.strip()
    if not inner:
        return text
    start = text.index(inner)
    return text[:start] + alpha2digit(inner, "en", 0.0) + text[start + len(inner) :]
