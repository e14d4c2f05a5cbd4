"""Days in English: "tomorrow", "next Friday", "the 3rd of May", "December 12th", "in two weeks", "Christmas Eve"."""

import contextlib
import re
from collections.abc import Iterator
from datetime import date, timedelta

from pipeline_worker.engines.scripted.values.sentence import Found, any_of

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)

# "friday", "thurs", "mondays", "sunday's"
_WEEKDAY_NAME = any_of(
    r"""mondays?, tuesdays?, wednesdays?, thursdays?, fridays?, saturdays?, sundays?,
    (?<!the )(?<!we )(?<!they )(?<!i )(?:mon|tues?|wed|thu(?:rs?)?|fri|sat|sun)"""
)  # not "we sat in the sun"
_WEEKDAY = rf"(?P<weekday>{_WEEKDAY_NAME})\b(?!')(?:'s)?"
_MONTH_NAME = any_of(
    """jan(?:uary)?, feb(?:ruary)?, mar(?:ch)?, apr(?:il)?, may, june?, july?, aug(?:ust)?, sept?(?:ember)?,
    oct(?:ober)?, nov(?:ember)?, dec(?:ember)?"""
)
_MONTH = rf"(?P<month>{_MONTH_NAME})\b\.?"
_DAY = r"(?P<day>[12]?\d|3[01])"
_TH = r"(?:st|nd|rd|th)"
_YEAR = r"(?P<year>20\d\d)"
_MAYBE_YEAR = rf"(?:,? {_YEAR})?"
# "On the", "maybe for this". Limited, because any number would take quadratic time in a long text of them.
_ON = r"(?:\b(?:on|for|by|the|this|coming|maybe|say) ){0,8}"
# "Friday evening" is one expression; "evening" is not another day.
_PART_OF_DAY = r"(?:,? ?(?:evening|night|afternoon|morning|lunch(?:time)?|dinner)\b)?"

# Days by their distance. Earlier forms win: "the day after tomorrow" before "tomorrow".
_WEEK = r"(?:a|1) week"
_FROM_NOW = r"from (?:today|now)"
_NEAR_FORMS = "|".join((
    r"(?P<day_after_tomorrow>(?:the )?day after tomorrow)",
    r"(?P<tomorrow>tomorrow|tmrw|tmr|2morrow)",
    # "the night", as the Scots say, but not "the night of the 5th"
    r"(?P<today>today|tonight|the night(?= *[.?!]|$)|this (?:evening|afternoon|arvo))",
    rf"(?P<in_a_week>{_WEEK} {_FROM_NOW}|{_WEEK} today|in (?:exactly )?{_WEEK}(?:'s time)?)",
    rf"(?P<in_a_fortnight>(?:a|1|in a) fortnight(?: {_FROM_NOW}| today|'s time)?)",
    rf"in (?P<days>\d{{1,2}}) days?|in (?P<weeks>\d) weeks?|(?P<weeks_from_now>\d) weeks? {_FROM_NOW}|"
    rf"(?P<days_from_now>\d{{1,2}}) days? {_FROM_NOW}",
    rf"(?P<week_from_tomorrow>{_WEEK} (?:from )?tomorrow)",
))  # fmt: skip
_NEAR = re.compile(rf"{_ON}\b(?:{_NEAR_FORMS})\b{_PART_OF_DAY}")
_DAYS_AHEAD = {
    "today": 0, "tomorrow": 1, "day_after_tomorrow": 2, "in_a_week": 7, "week_from_tomorrow": 8, "in_a_fortnight": 14,
}  # fmt: skip

# Days by their name: "friday night", "next wednesday", "a week on friday", "sunday week", "monday of next week".
_ON_WEEKDAY = re.compile(
    rf"(?:\b(?:on|for|by|the|maybe|say) ){{0,8}}\b(?:(?P<week_before>{_WEEK} (?:on|from|this)) )?"
    rf"(?:(?P<which>next week,?|next|this|coming|following) )?(?:on )?{_WEEKDAY}{_PART_OF_DAY}"
    r"(?: (?P<week_after>next week|week\b|in a week|after next|the week after|of next week))?"
)
# "not Friday, but the one after"
_ONE_AFTER = re.compile(rf"\bnot (?:this |the )?(?:coming )?{_WEEKDAY},? but the (?:one|1|week) after(?: that)?\b")

# "The 3rd floor", and "the 30th of February", which is no day.
_NO_DAY = rf"(?! (?:floor|time|person|course|(?:of )?{_MONTH_NAME}\b))"
# Days by their date.
_DATES = tuple(
    re.compile(form)
    for form in (
        r"\b(?P<year>20\d\d)-(?P<month_number>\d\d)-(?P<day>\d\d)\b",  # "2026-12-24"
        rf"{_ON}\b{_DAY}{_TH}?(?: day)? of {_MONTH}{_MAYBE_YEAR}",  # "the 3rd of May"
        rf"{_ON}\b{_DAY}{_TH}? {_MONTH}{_MAYBE_YEAR}",  # "3 May 2027"
        rf"{_ON}\b{_MONTH} (?:the )?{_DAY}{_TH}?\b(?![:.]\d){_MAYBE_YEAR}",  # "May the 3rd", but not "may 4:30"
        rf"{_ON}\b{_DAY}{_TH}\b{_NO_DAY}(?: of (?:this|the) month)?",  # "the 3rd"
        r"(?:on )?\b(?P<day>[0-2]?\d|3[01])\.(?P<month_number>1[0-2]|0[1-9])\.",  # "3.05."
        rf"(?:on )?\b(?P<day>1[3-9]|2\d|3[01])/(?P<month_number>1[0-2]|0?[1-9])(?:/{_YEAR})?\b",  # "20/12"
        rf"(?:on )?\b(?:the )?{_DAY}(?<=\bthe \d\d)(?=[,.?!]|$)",  # "the 12", for "the twelfth"
        rf"(?:on )?\b(?P<month_number>1[0-2]|0?[1-9])/(?P<day>[12]\d|3[01]|0?[1-9])(?:/{_YEAR})?\b",  # "5/3/2027"
    )
)
# "We come on 3": a number that may be a day, unless it is a time: "3 pm", "3:30", "3 o'clock".
_BARE = re.compile(rf"\b{_DAY}\b(?! ?(?:[ap]m\b|[:.]\d|o'clock))")

_LEAP_YEAR = 2024
_YEARS_TO_LEAP_DAY = 9
"""At most, around a year such as 2100, which is not a leap year."""
_FEASTS = {
    "christmas eve": (12, 24), "christmas day": (12, 25), "christmas": (12, 25), "boxing day": (12, 26),
    "new year's eve": (12, 31), "new years eve": (12, 31), "new year's day": (1, 1),
    "valentine's day": (2, 14), "valentines day": (2, 14), "valentine's": (2, 14), "halloween": (10, 31),
}  # fmt: skip
_FEAST = re.compile(rf"{_ON}\b(?P<feast>{'|'.join(_FEASTS)})\b(?! (?:do|party|lunch|dinner|meal|menu|tree|shopping)\b)")
# "The day after" Christmas, where the feast begins.
_BESIDE = re.compile(r"\b(?:the )?(?:day|night|evening) (?P<side>before|after) $")


def find(text: str, today: date) -> Iterator[Found]:
    """The days in `text`, which has lower case and figures. A day without a year is the next such day."""
    no_days: list[range] = []
    for pattern in _DATES:
        for match in pattern.finditer(text):
            day = _dated(match, today)
            if day is None:
                no_days.append(range(match.start(), match.end()))
            elif not any(match.end() - 1 in place for place in no_days):
                yield Found(match.start(), match.end(), day, explicit=True)
    for match in _FEAST.finditer(text):
        yield _feast(match, today)
    for match in _ONE_AFTER.finditer(text):
        yield Found(match.start(), match.end(), _next_weekday(match["weekday"], today) + timedelta(7))
    for match in _NEAR.finditer(text):
        yield Found(match.start(), match.end(), today + timedelta(_days_ahead(match)))
    for match in _ON_WEEKDAY.finditer(text):
        yield Found(match.start(), match.end(), _on_weekday(match, today))
    for match in _BARE.finditer(text):
        if (day := _next_of_day(int(match["day"]), today)) is not None:
            yield Found(match.start(), match.end(), day, sure=False)


def _dated(match: re.Match[str], today: date) -> date | None:
    """None if there is no such day, as the 31st of February."""
    groups = match.groupdict()
    day = int(groups["day"])
    month = _month(groups["month"]) if "month" in groups else int(groups.get("month_number") or 0)
    if not month:
        return _next_of_day(day, today)
    try:
        if groups.get("year"):
            return date(int(groups["year"]), month, day)
        date(_LEAP_YEAR, month, day)
    except ValueError:
        return None
    return _next_of_year(month, day, today)


def _month(name: str) -> int:
    return next(number for number, month in enumerate(MONTHS, 1) if month.startswith(name[:3]))


def _next_of_year(month: int, day: int, today: date) -> date:
    """The next such day of a year, which may be today."""
    for year in range(today.year, today.year + _YEARS_TO_LEAP_DAY):
        with contextlib.suppress(ValueError):  # a leap day, in another year
            if (day_of_year := date(year, month, day)) >= today:
                return day_of_year
    raise ValueError(f"no day {day} in month {month}")


def _next_of_day(day: int, today: date) -> date | None:
    """The next such day of a month, which may be today. Any 62 days contain each of them, even a 31st."""
    return next((one for one in (today + timedelta(ahead) for ahead in range(62)) if one.day == day), None)


def _feast(match: re.Match[str], today: date) -> Found:
    day = _next_of_year(*_FEASTS[match["feast"]], today)
    beside = _BESIDE.search(match.string, 0, match.start())
    if beside is None:
        return Found(match.start(), match.end(), day)
    return Found(beside.start(), match.end(), day + timedelta(-1 if beside["side"] == "before" else 1))


def _days_ahead(match: re.Match[str]) -> int:
    if days := match["days"] or match["days_from_now"]:
        return int(days)
    if weeks := match["weeks"] or match["weeks_from_now"]:
        return 7 * int(weeks)
    return next(days for name, days in _DAYS_AHEAD.items() if match[name])


def _on_weekday(match: re.Match[str], today: date) -> date:
    """The next such day, not today; "next Friday" is that of the next week, weeks beginning on Monday."""
    day = _next_weekday(match["weekday"], today)
    which, after = match["which"] or "", match["week_after"] or ""
    if which == "this" and day == today + timedelta(7):
        day = today
    if which.startswith("next") or after in ("next week", "of next week"):
        is_in_this_week = (day - today).days < 7 - today.weekday()
        return day + timedelta(7) if is_in_this_week else day
    return day + timedelta(7) if match["week_before"] or after else day


def _next_weekday(name: str, today: date) -> date:
    """The next day of that name, not today."""
    number = next(n for n, weekday in enumerate(WEEKDAYS) if weekday.startswith(name[:3]))
    return today + timedelta((number - today.weekday() - 1) % 7 + 1)
