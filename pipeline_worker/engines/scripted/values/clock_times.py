"""Times of day in English: "half past 7", "7:30 pm", "quarter to eight", "around 8", "noon"."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipeline_worker.engines.scripted.values.party_sizes import PEOPLE
from pipeline_worker.engines.scripted.values.sentence import Found, any_of


class ClockTime(NamedTuple):
    """Minutes after midnight, as said: without am or pm an hour up to 12 has two readings, the later one first."""

    readings: tuple[int, ...]


_HALF_DAY = 12 * 60


def _and_minutes(match: re.Match[str]) -> int:
    """ "7:45"; "hundred" and "100" are full hours, as in "19 hundred"."""
    minute = match["minute"]
    return 0 if minute in (None, "hundred", "100") else int(minute)


def _beside(match: re.Match[str]) -> int:
    """ "Quarter past" is 15, "10 minutes to" is -10."""
    part = match["part"]
    size = 30 if part == "half" else 15 if "quarter" in part else int(part.split()[0])
    return size if match["side"] in ("past", "after") else -size


# 0 to 23, also as "07".
_HOUR = r"(?P<hour>[01]?\d|2[0-3])"
# "7 pm", "7 p.m.", "7p. m."
_AM_PM = r"(?P<half_day>[ap])\.?\s?m\b\.?"
_MAYBE_AM_PM = rf"(?:\s*{_AM_PM})?"
# Shows that the number before it is not an hour: "7 people", "7 of us", "7th", "7-8", "7%".
_NO_HOUR = rf"(?!\s*(?:{PEOPLE}|more\b|%|st\b|nd\b|rd\b|th\b|[-\d]|of us|days?\b|weeks?\b))"
# The same where only a word before the number suggests an hour: "at 7 minutes", "about 7/8", "about 7 dollars".
_NO_BARE_HOUR = r"(?!\s*(?:minutes|o'|\d|[/:.]\d|euros?|dollars?|(?:for\s+)?dinner\s+guests))"
# "Around", "for maybe". Limited, because any number would take quadratic time in a long text of them.
_ABOUT_WORD = any_of("at, around, about, by, say, like, maybe, for, from, after, before, roughly, approximately")
_ABOUT = rf"(?:\b{_ABOUT_WORD}\s+){{0,8}}"
# A word that makes a bare number an hour, and words that may follow: "at", "until around", "by, say".
_AT = r"\b(?:at|around|about|by|say|until|till|like)\s+(?:(?:around|about|say|like|maybe)\s+){0,8}"
_PART = r"(?P<part>half|(?:a )?quarter|(?:5|10|20|25)(?: minutes?)?)"
_PART_ALONE = r"(?P<part>half|(?:a )?quarter)"
# Within the sentence, and limited to keep the search fast.
_BETWEEN = r"[^.?!]{0,100}?"
_WHEN = any_of("in the (?:evening|morning|afternoon), at night, tonight, for dinner, for lunch, sharp, on the dot")

# Longer forms first, each with the minutes that it adds to its hour, or how to get them.
_FORMS: tuple[tuple[str, int | Callable[[re.Match[str]], int]], ...] = (
    # "quarter to 8 pm", "10 minutes past 7"
    (rf"{_ABOUT}\b{_PART} (?P<side>past|after|to|till|before|of) {_HOUR}\b{_MAYBE_AM_PM}{_NO_HOUR}", _beside),
    # "at 7, let's say half past"
    (rf"{_ABOUT}\b{_HOUR}\b{_BETWEEN}\b{_PART_ALONE} (?P<side>past)\b(?! (?:\d|noon|midnight))", _beside),
    # "8 and a half"
    (rf"{_ABOUT}\b{_HOUR} and (?:a )?half\b", 30),
    # "half 7", as the British say
    (rf"{_ABOUT}\bhalf {_HOUR}\b{_MAYBE_AM_PM}{_NO_HOUR}", 30),
    # "7:30 pm", "19.30", "19h30"
    (rf"{_ABOUT}\b{_HOUR}[:.h](?P<minute>[0-5]\d)(?=\b|[ap]m\b){_MAYBE_AM_PM}", _and_minutes),
    # "7 45"
    (rf"{_ABOUT}\b{_HOUR} (?P<minute>[0-5][05])\b{_MAYBE_AM_PM}{_NO_HOUR}", _and_minutes),
    # "7 oh 5"
    (rf"{_ABOUT}\b{_HOUR}(?: oh| o) ?(?P<minute>5)\b{_MAYBE_AM_PM}", _and_minutes),
    # "1930", "19 hundred hours"
    (rf"{_ABOUT}\b(?P<hour>1\d|2[0-3]) ?(?P<minute>00|15|30|45|hundred|100)\b(?: hours)?{_NO_HOUR}", _and_minutes),
    # "hour 20", "hours 20 and 15"
    (rf"{_ABOUT}\bhours? {_HOUR}(?: (?:and )?(?P<minute>[0-5]\d))?\b", _and_minutes),
    # "8 o'clock"
    (rf"{_ABOUT}\b{_HOUR} ?(?:o'? ?clock|oclock)\b{_MAYBE_AM_PM}", 0),
    # "8pm", "8 a.m."
    (rf"{_ABOUT}\b{_HOUR}\s?{_AM_PM}", 0),
    # "at 8", "until around 8"
    (rf"{_AT}{_HOUR}\b{_NO_HOUR}{_NO_BARE_HOUR}", 0),
    # "8ish"
    (rf"{_ABOUT}\b{_HOUR}[\s-]?ish\b", 0),
    # "8 in the evening", "8 sharp"
    (rf"{_ABOUT}\b{_HOUR}(?= {_WHEN}\b)", 0),
)
_PATTERNS = tuple((re.compile(form), minutes) for form, minutes in _FORMS)
_BARE = re.compile(rf"\b{_HOUR}\b{_NO_HOUR}")

_NAMED = re.compile(rf"{_ABOUT}\b(?P<name>noon|midday|midnight)\b")
_MINUTES_OF = {"noon": _HALF_DAY, "midday": _HALF_DAY, "midnight": 0}

# An hour without am or pm is am if the sentence is about the morning only.
_MORNING = re.compile(r"\b(?:morning|breakfast)\b")
_LATER = re.compile(r"\b(?:evening|tonight|afternoon|night|dinner|supper)\b")


def find(text: str) -> Iterator[Found]:
    """The times in `text`, which has lower case and figures. Longer forms come first."""
    is_morning = bool(_MORNING.search(text)) and not _LATER.search(text)
    for pattern, minutes in _PATTERNS:
        for match in pattern.finditer(text):
            yield Found(
                match.start(),
                match.end(),
                _clock_time(match, minutes if isinstance(minutes, int) else minutes(match), is_morning),
            )
    for match in _NAMED.finditer(text):
        yield Found(match.start(), match.end(), ClockTime((_MINUTES_OF[match["name"]],)))
    for match in _BARE.finditer(text):
        yield Found(match.start(), match.end(), _clock_time(match, 0, is_morning), sure=False)


def _clock_time(match: re.Match[str], minutes: int, is_morning: bool) -> ClockTime:
    """`minutes` are those after the hour that `match` names."""
    hour = int(match["hour"])
    minutes += hour * 60
    if hour > 12 or hour == 0:
        return ClockTime((minutes % (2 * _HALF_DAY),))
    before_noon = minutes % _HALF_DAY
    half_day = match.groupdict().get("half_day") or ("a" if is_morning else None)
    if half_day == "a":
        return ClockTime((before_noon,))
    if half_day == "p":
        return ClockTime((before_noon + _HALF_DAY,))
    return ClockTime((before_noon + _HALF_DAY, before_noon))
