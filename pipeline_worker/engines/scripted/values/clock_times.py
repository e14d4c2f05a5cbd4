"""Times of day in English: "half past 7", "7:30 pm", "quarter to eight", "around 8", "noon"."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipeline_worker.engines.scripted.values.party_sizes import PEOPLE
from pipeline_worker.engines.scripted.values.sentence import Found

_HALF_DAY = 12 * 60
_HOUR = r"(?P<hour>[01]?\d|2[0-3])"
_HALF = r"(?:\s*(?P<half>[ap])\.?\s?m\b\.?)?"
_NOT_PEOPLE = rf"(?!\s*(?:{PEOPLE}|more\b|%|st\b|nd\b|rd\b|th\b|[-\d]|of us|days?\b|weeks?\b))"
_ABOUT = r"(?:\b(?:at|around|about|by|say|like|maybe|for|from|after|before|roughly|approximately)\s+)*"

_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_ABOUT}\b(?P<part>half|(?:a )?quarter|(?:5|10|20|25)(?: minutes?)?) (?P<side>past|after|to|till|before|of) {_HOUR}\b{_HALF}{_NOT_PEOPLE}",
        rf"{_ABOUT}\b{_HOUR}\b[^.?!]*?\b(?P<part>half|(?:a )?quarter) (?P<side>past)\b(?! (?:\d|noon|midnight))",
        rf"{_ABOUT}\b{_HOUR} and (?:a )?(?P<also>half)\b",
        rf"{_ABOUT}\b(?P<also>half) {_HOUR}\b{_HALF}{_NOT_PEOPLE}",
        rf"{_ABOUT}\b{_HOUR}[:.h](?P<minute>[0-5]\d)\b{_HALF}",
        rf"{_ABOUT}\b{_HOUR} (?P<minute>00|05|10|15|20|25|30|35|40|45|50|55)\b{_HALF}{_NOT_PEOPLE}",
        rf"{_ABOUT}\b{_HOUR}(?: oh| o) ?(?P<minute>5)\b{_HALF}",
        rf"{_ABOUT}\b(?P<hour>1\d|2[0-3]) ?(?P<minute>00|15|30|45|hundred|100)\b(?: hours)?{_NOT_PEOPLE}",
        rf"{_ABOUT}\bhours? {_HOUR}(?: (?:and )?(?P<minute>[0-5]\d))?\b",
        rf"{_ABOUT}\b{_HOUR} ?(?:o'? ?clock|oclock)\b{_HALF}",
        rf"{_ABOUT}\b{_HOUR}\s?(?P<half>[ap])\.?\s?m\b\.?",
        rf"\b(?:at|around|about|by|say|until|till|early,? like)\s+(?:around\s+|about\s+|say\s+|like\s+|maybe\s+)*{_HOUR}\b{_NOT_PEOPLE}(?!\s*(?:minutes|o'|\d|[/:.]\d|euros?|dollars?|(?:for\s+)?dinner\s+guests))",
        rf"{_ABOUT}\b{_HOUR}[\s-]?ish\b",
        rf"{_ABOUT}\b{_HOUR}(?= (?:in the (?:evening|morning|afternoon)|at night|tonight|for dinner|for lunch|sharp|on the dot)\b)",
    )
)
_NAMED = re.compile(rf"{_ABOUT}\b(?P<name>noon|midday|midnight)\b")
_NAMED_AT = {"noon": 720, "midday": 720, "midnight": 0}
_BARE = re.compile(rf"\b{_HOUR}\b{_NOT_PEOPLE}")
_MORNING = re.compile(r"\b(?:morning|breakfast)\b")
_LATER = re.compile(r"\b(?:evening|tonight|afternoon|night|dinner|supper)\b")


class ClockTime(NamedTuple):
    """Minutes after midnight, as said: without am or pm an hour up to 12 has two readings, the later one first."""

    readings: tuple[int, ...]


def find(text: str) -> Iterator[Found]:
    """The times in `text`, which is in small letters and figures. Longer forms come first."""
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield Found(match.start(), match.end(), _of(match, text))
    for match in _NAMED.finditer(text):
        yield Found(match.start(), match.end(), ClockTime((_NAMED_AT[match["name"]],)))
    for match in _BARE.finditer(text):
        yield Found(match.start(), match.end(), _of(match, text), sure=False)


def _of(match: re.Match[str], text: str) -> ClockTime:
    groups = match.groupdict()
    hour, minute = (
        int(groups["hour"]),
        int(groups.get("minute") or 0) if groups.get("minute") not in ("hundred", "100") else 0,
    )
    minutes = hour * 60 + minute
    if part := groups.get("part"):
        size = 30 if part == "half" else 15 if "quarter" in part else int(part.split()[0])
        minutes += size if groups["side"] in ("past", "after") else -size
    elif groups.get("also"):  # "half seven", as the British say, and "seven and a half"
        minutes += 30
    half = groups.get("half") or ("a" if _MORNING.search(text) and not _LATER.search(text) else None)
    if hour > 12 or hour == 0:
        return ClockTime((minutes % (2 * _HALF_DAY),))
    first = minutes % _HALF_DAY
    if half:
        return ClockTime((first + (_HALF_DAY if half == "p" else 0),))
    return ClockTime((first + _HALF_DAY, first))
