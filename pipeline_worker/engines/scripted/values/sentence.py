"""Prepares a sentence for the search for values; what is found, and building blocks for patterns."""

import re
from typing import Any, NamedTuple

from text_to_num import alpha2digit


class Found(NamedTuple):
    """A value in a sentence, from character `start` up to `end`."""

    start: int
    end: int
    value: Any
    sure: bool = True
    """False for a bare number, which may also be a value of another kind."""
    explicit: bool = False
    """Of a day: it has a date, not just a day of the week."""


def word_list(text: str) -> tuple[str, ...]:
    """The words of a list that may take several lines."""
    return tuple(text.split())


def any_of(phrases: str) -> str:
    """A pattern for any of the phrases between the commas: "at, as late as" is `(?:at|as late as)`.

    A phrase may be a pattern itself ("seats?"). The list may take several lines; the first phrase that fits wins.
    """
    return f"(?:{'|'.join(' '.join(phrase.split()) for phrase in phrases.split(','))})"


# People say "twenty-one" and "seven-ish": number words are read without hyphens.
_HYPHEN = re.compile(r"(?<=[a-z])[-–](?=[a-z])")

# "At, um, six".
_HESITATION = re.compile(r",? ?\b(?:um+|uh+|er|erm|hmm+)\b,?", re.IGNORECASE)
# "To-night", "to morrow": an old spelling that recognizers have learned.
_TWO_WORDS = re.compile(r"\bto[- ](?=(?:night|morrow)\b)", re.IGNORECASE)
# "Ate of us": "eight of us", misheard.
_HOMOPHONES = {
    "ate": "eight", "aid": "eight", "to": "two", "too": "two", "for": "four", "won": "one", "tree": "three",
    "sex": "six",
}  # fmt: skip
_HOMOPHONE = re.compile(rf"\b({'|'.join(_HOMOPHONES)})(?= (?:of us|people|persons|guests)\b)", re.IGNORECASE)

# "sevenish", "seven's fine": a number word is only converted without its ending.
_NUMBER_WORD = any_of(
    """one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen, sixteen,
    seventeen, eighteen, nineteen, twenty, thirty, forty, fifty, sixty, seventy, eighty, ninety"""
)
_WITH_ENDING = re.compile(rf"\b({_NUMBER_WORD})(?=ish\b|'s\b)", re.IGNORECASE)

# "Just the one, please" is a party of one.
_JUST_THE_ONE = re.compile(r"\b(just|only) the one\b", re.IGNORECASE)

# Which one: "the last one". But "the one of us" and "no, one o'clock" count.
_BEFORE_ONE = any_of("the, this, that, which, any, no, every, each, some, last, next, another, other")
_POINTED_AT = rf"\b{_BEFORE_ONE} (?:wee |little |big |small |other )?one\b(?! (?:of us|person|o'? ?clock))|\bones\b"
# "One more question", "one moment", "one small table": how many people come is another matter.
_THING = any_of("time, thing, question, moment, minute, change, table, booking, reservation, night")
_WHICH_THING = any_of("more, last, other, small, little, quick, quiet")
_ONE_THING = rf"\bone (?:{_WHICH_THING} )?{_THING}\b|\b(?:want|need|have|get|book) one(?= (?:for|on|at)\b)"
# Somebody: "one of us has cancelled", "one's dropped", which the ending has made "one 's dropped".
_SOMEBODY = r"\bone (?:dropped|cancelled|canceled)\b|\bone (?:has|is|of us has|'s) (?:dropped|cancelled|canceled)\b"
# In a row: "first name", "a second time". But "the second of May" is a day.
_IN_A_ROW = any_of(
    """names?, thing, of all, time, times, floor, choice, course, thoughts?, date, visit, table, birthday, anniversary,
    person, guest, half, try, come, served"""
)
# "First, tell me", but not "the first", "on June first", "first of May".
_NO_DAY_BEFORE = r"(?<!the )(?<!y )(?<!r )(?<!ch )(?<!l )(?<!e )(?<!t )"
_ORDINAL = rf"\b(?:first|second)(?= {_IN_A_ROW}\b)|{_NO_DAY_BEFORE}\bfirst\b(?! of)"
# Of time: "just a second".
_A_SECOND = r"\b(?:a|one|wait a|just a) seconds?\b(?! of)"

_NOT_A_NUMBER = re.compile(f"({'|'.join((_POINTED_AT, _ONE_THING, _SOMEBODY, _ORDINAL, _A_SECOND))})", re.IGNORECASE)


def with_figures(text: str) -> str:
    """`text` with its English number words as figures: "half past seven" becomes "half past 7".

    Words that only look like numbers stay: "one moment", "the last one", "my first name". Spaces become single ones,
    hyphens within words spaces, and typographic apostrophes plain ones.
    """
    text = _TWO_WORDS.sub("to", _HESITATION.sub("", text))
    plain = _HYPHEN.sub(" ", text.replace("’", "'"))
    plain = _HOMOPHONE.sub(lambda match: _HOMOPHONES[match[1].lower()], plain)
    plain = _JUST_THE_ONE.sub(r"\1 one person", plain)
    plain = _WITH_ENDING.sub(r"\1 ", plain)
    # With its group, the pattern splits into text to convert and, at odd places, what matched.
    pieces = _NOT_A_NUMBER.split(" ".join(plain.split()))
    return "".join(piece if index % 2 else _figures(piece) for index, piece in enumerate(pieces))


def _figures(text: str) -> str:
    """Keeps the spaces at both ends, which the library drops."""
    inner = text.strip()
    if not inner:
        return text
    start = text.index(inner)
    figures: str = alpha2digit(inner, "en", 0.0)
    return text[:start] + figures + text[start + len(inner) :]
