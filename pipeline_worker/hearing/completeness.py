"""Whether an utterance is finished or stops in the middle, judged by its words.

The text is what a recogniser has understood so far. Punctuation and figures count in every language. The word lists are
English and count only in English, because "an" and "um" end many German sentences. Many recognisers write no
punctuation: then a text that does not look unfinished is `OPEN`. Others put a full stop or a question mark wherever the
sound ends: then words that stop in the middle ("a table for.") override the mark.
"""

import re
from enum import StrEnum

from pipeline_worker.text.words import primary_language, words_of


class Completeness(StrEnum):
    FINISHED = "finished"
    OPEN = "open"
    """It may be either."""
    UNFINISHED = "unfinished"


_CLOSING = "\"'”’)»"
_FINISHES = tuple(".!?。！？؟।")
_SENTENCE_END = re.compile(r"[.!?]\s+")
_GOES_ON = (*",;:-–—…、，", "...")


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


_NOT_LAST = _words(
    "and or but because if than when while although unless until whether",
    "a an the my your our their every",
    "i'm i'd i'll i've we're we'd we'll you're",
    "um uh er erm",
)
_NOT_LAST_UNLESS_ASKED = _words("of to for from with without at by into onto about between during through")
"""Prepositions. They may end a question ("where are you from"), but hardly ever a statement."""
_QUESTIONS = _words("what what's where where's who who's whom which how when")
_NOT_LAST_PAIRS = frozenset(
    {("would", "like"), ("i'd", "like"), ("we'd", "like"), ("i", "want"), ("i", "need"), ("can", "i")}
)
_SHORT_SENTENCE = 4
"""Words. "Yes, I would like" is unfinished; the longer "that is all I need" is not."""

_DIGITS = _words("zero oh one two three four five six seven eight nine double triple")
_NUMBER_ASKED = _words("number phone telephone code zip postcode digits pin card account extension")
_WHOLE_NUMBER = 10
"""Digits of a telephone number without country code."""


def completeness(text: str, language: str) -> Completeness:
    """Whether `text` in `language` ("en", "en-GB") is finished."""
    shown = text.strip().rstrip(_CLOSING)
    words = words_of(shown)
    if not words:
        return Completeness.OPEN
    english = primary_language(language) == "en"
    if _dictates_number(words, english):
        return Completeness.UNFINISHED
    if shown.endswith(_GOES_ON):
        return Completeness.UNFINISHED
    if not shown.endswith(_FINISHES):
        return Completeness.UNFINISHED if english and _stops_in_the_middle(words) else Completeness.OPEN
    last_sentence = words_of(_SENTENCE_END.split(shown.rstrip("".join(_FINISHES)))[-1]) or words
    stops = english and _stops_before_mark(last_sentence, asks=shown.endswith("?"))
    return Completeness.UNFINISHED if stops else Completeness.FINISHED


def _stops_in_the_middle(words: list[str]) -> bool:
    last = words[-1]
    if last in _NOT_LAST_UNLESS_ASKED:
        return words[0] not in _QUESTIONS
    return last in _NOT_LAST or tuple(words[-2:]) in _NOT_LAST_PAIRS


def _stops_before_mark(sentence: list[str], *, asks: bool) -> bool:
    """Whether more follows despite the mark. Not after "And?", "Is that where you are from?", "That is all I need."."""
    if len(sentence) < 2 and asks:
        return False
    if sentence[-1] in _NOT_LAST_UNLESS_ASKED and asks:
        return False
    if tuple(sentence[-2:]) in _NOT_LAST_PAIRS:
        return len(sentence) <= _SHORT_SENTENCE
    return _stops_in_the_middle(sentence)


def _dictates_number(words: list[str], english: bool) -> bool:
    """Whether it ends in digits of an incomplete number: "my number is five five five"."""
    digits = groups = 0
    for word in reversed(words):
        if word.isdecimal():
            digits += len(word)
        elif english and word in _DIGITS:
            digits += 1
        else:
            break
        groups += 1
    if not 0 < digits < _WHOLE_NUMBER:
        return False
    return groups >= 3 or (english and not _NUMBER_ASKED.isdisjoint(words[: len(words) - groups]))
