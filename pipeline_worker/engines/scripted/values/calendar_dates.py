"""Days in English: "tomorrow", "next Friday", "the 3rd of May", "December 12th", "in two weeks", "Christmas Eve"."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from pipeline_worker.engines.scripted.values.sentence import Found

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAY = r"(?P<weekday>mon(?:days?)?|tue(?:s(?:days?)?)?|wed(?:nesdays?)?|thu(?:rs?(?:days?)?)?|fri(?:days?)?|sat(?:urdays?)?|sun(?:days?)?)\b(?!')(?:'s)?"
_MONTH = r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
_DAY = r"(?P<day>[12]?\d|3[01])"
_TH = r"(?:st|nd|rd|th)"
_ON = r"(?:\b(?:on|for|by|the|this|coming|maybe|say) )*"
_PART = r"(?:,? ?(?:evening|night|afternoon|morning|lunch(?:time)?|dinner)\b)?"
_FEASTS = {
    "christmas eve": (12, 24), "christmas day": (12, 25), "christmas": (12, 25), "boxing day": (12, 26),
    "new year's eve": (12, 31), "new years eve": (12, 31), "new year's day": (1, 1), "valentine's day": (2, 14),
    "valentines day": (2, 14), "valentine's": (2, 14), "halloween": (10, 31),
}  # fmt: skip

_NEAR = re.compile(
    rf"{_ON}\b(?P<name>(?:the )?day after tomorrow|tomorrow|tmrw|tmr|2morrow|today|tonight|the night(?= *[.?!]|$)|this (?:evening|afternoon|arvo)|(?:a|1) week from (?:today|now)|"
    rf"(?:a|1) week today|in (?:exactly )?(?:a|1) week(?:'s time)?|(?:a|1|in a) fortnight(?: from (?:today|now)| today|'s time)?|in (?P<days>\d{{1,2}}) days?|in (?P<weeks>\d) weeks?|(?P<weeks_from>\d) weeks? from (?:today|now)|(?:a|1) week (?:from )?tomorrow)\b{_PART}"
)
_ON_WEEKDAY = re.compile(
    rf"{_ON}\b(?:(?P<later>(?:a|1) week (?:on|from|this)) )?(?:(?P<which>next week,?|next|this|coming|following) )?(?:on )?{_WEEKDAY}"
    rf"{_PART}(?: (?P<after>next week|week\b|in a week|after next|the week after|of next week))?"
)
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?P<year>20\d\d)-(?P<month_number>\d\d)-(?P<day>\d\d)\b",
        rf"{_ON}\b{_DAY}{_TH}?(?: day)? of {_MONTH}(?:,? (?P<year>20\d\d))?",
        rf"{_ON}\b{_DAY}{_TH}? {_MONTH}(?:,? (?P<year>20\d\d))?",
        rf"{_ON}\b{_MONTH} (?:the )?{_DAY}{_TH}?\b(?![:.]\d)(?:,? (?P<year>20\d\d))?",
        rf"{_ON}\b{_DAY}{_TH}\b(?! (?:floor|time|person|course))(?: of (?:this|the) month)?",
        r"(?:on )?\b(?P<day>[0-2]?\d|3[01])\.(?P<month_number>1[0-2]|0[1-9])\.",
        r"(?:on )?\b(?P<month_number>1[0-2]|0?[1-9])/(?P<day>[12]\d|3[01]|0?[1-9])(?:/(?P<year>20\d\d))?\b",
    )
)
_BESIDE = re.compile(r"\b(?:the )?(?:day|night|evening) (?P<side>before|after) $")
_ONE_AFTER = re.compile(rf"\bnot (?:this )?(?:coming )?{_WEEKDAY},? but the (?:one|1|week) after(?: that)?\b")
_FEAST = re.compile(rf"{_ON}\b(?P<feast>{'|'.join(_FEASTS)})\b")
_BARE = re.compile(rf"\b{_DAY}\b(?! ?(?:[ap]m\b|[:.]\d|o'clock))")


def find(text: str, today: date) -> Iterator[Found]:
    """The days in `text`, which is in small letters and figures; those without a year are the next of their kind."""
    for pattern in _DATES:
        for match in pattern.finditer(text):
            if (day := _calendar(match, today)) is not None:
                yield Found(match.start(), match.end(), day, explicit=True)
    for match in _FEAST.finditer(text):
        day = _next(*_FEASTS[match["feast"]], today)
        beside = _BESIDE.search(text[: match.start()])
        ahead = 0 if beside is None else -1 if beside["side"] == "before" else 1
        yield Found(beside.start() if beside else match.start(), match.end(), day + timedelta(ahead))
    for match in _ONE_AFTER.finditer(text):
        yield Found(match.start(), match.end(), _of_weekday(match["weekday"], today) + timedelta(7))
    for match in _NEAR.finditer(text):
        yield Found(match.start(), match.end(), _near(match, today))
    for match in _ON_WEEKDAY.finditer(text):
        yield Found(match.start(), match.end(), _weekday(match, today))
    for match in _BARE.finditer(text):
        if (day := _calendar(match, today)) is not None:
            yield Found(match.start(), match.end(), day, sure=False)


def _calendar(match: re.Match[str], today: date) -> date | None:
    groups = match.groupdict()
    day = int(groups["day"])
    named = groups.get("month")
    month = next((n for n, name in enumerate(MONTHS, 1) if named and name.startswith(named[:3])), None)
    month = month or int(groups.get("month_number") or 0) or None
    try:
        if groups.get("year") and month:
            return date(int(groups["year"]), month, day)
        if month:
            return _next(month, day, today)
    except ValueError:
        return None
    return next((one for one in (today + timedelta(ahead) for ahead in range(62)) if one.day == day), None)


def _next(month: int, day: int, today: date) -> date:
    this_year = date(today.year, month, day)
    return this_year if this_year >= today else date(today.year + 1, month, day)


def _near(match: re.Match[str], today: date) -> date:
    name = match["name"]
    if "day after" in name:
        ahead = 2
    elif "fortnight" in name:
        ahead = 14
    elif name.endswith(("tomorrow", "tmrw", "tmr", "2morrow")):
        ahead = 8 if "week" in name else 1
    elif match["days"]:
        ahead = int(match["days"])
    elif match["weeks"] or match["weeks_from"]:
        ahead = 7 * int(match["weeks"] or match["weeks_from"])
    else:
        ahead = 7 if "week" in name else 0
    return today + timedelta(ahead)


def _weekday(match: re.Match[str], today: date) -> date:
    """The next such day, not today; "next Friday" is that of the next week, weeks beginning on Monday."""
    ahead = (_of_weekday(match["weekday"], today) - today).days % 7
    which, after = match["which"] or "", match["after"] or ""
    if ahead == 0 and which != "this":
        ahead = 7
    in_this_week = today.weekday() + ahead < 7
    if which.startswith("next") or after in ("next week", "of next week"):
        ahead += 7 if in_this_week else 0
    elif match["later"] or after:
        ahead += 7
    return today + timedelta(ahead)


def _of_weekday(name: str, today: date) -> date:
    """The next day of that name, not today."""
    number = next(n for n, weekday in enumerate(WEEKDAYS) if weekday.startswith(name[:3]))
    return today + timedelta((number - today.weekday() - 1) % 7 + 1)
