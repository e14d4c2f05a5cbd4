"""A sentence in the form in which values are looked for, and what was found in it."""

import re
from typing import Any, NamedTuple

from text_to_num import alpha2digit

_BETWEEN_LETTERS = re.compile(r"(?<=[a-z])[-–](?=[a-z])")
_JUST_THE_ONE = re.compile(r"\b(just|only) the one\b", re.IGNORECASE)

_NUMBER_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    r"eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
)
_ENDING = re.compile(rf"\b({_NUMBER_WORD})(?=ish\b|'s\b)", re.IGNORECASE)
_PRONOUN_ONE = re.compile(r"\b(the|this|that|which|any|no|every|each|some|last|next|another|other) one\b(?! (?:of us|person|o'? ?clock))", re.IGNORECASE)
_NO_NUMBER = re.compile(
    r"\b(first|second)(?= (?:names?|thing|of all|time|floor|choice|course|thoughts?)\b)|(?<=\ba )(second)\b|(?<=\bone )(second)\b", re.IGNORECASE
)


class Found(NamedTuple):
    """A value in a sentence, from character `start` up to `end`.

    One that is not `sure` is a bare number or word, which may be another kind of value as well.
    """

    start: int
    end: int
    value: Any
    sure: bool = True
    explicit: bool = False
    """Of a day: it has a date, not just a day of the week."""


def with_figures(text: str) -> str:
    """`text` with its English number words as figures: "half past seven" becomes "half past 7"."""
    plain = _BETWEEN_LETTERS.sub(" ", text.replace("’", "'"))
    plain = _JUST_THE_ONE.sub(r"\1 one person", plain)
    plain = _ENDING.sub(r"\1 ", _PRONOUN_ONE.sub(r"\1 which", _NO_NUMBER.sub("main", plain)))
    return alpha2digit(" ".join(plain.split()), "en", 0.0)
