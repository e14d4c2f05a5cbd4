"""How written English is read aloud.

These are the forms that voices are known to misread. They were found with eSpeak NG, which reads "$12.50" as "dollar
twelve point five zero"; other voices read the rewritten words no worse. Figures stay figures.
"""

import re
from collections.abc import Callable

from pipeline_worker.text.traced_text import Found

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]*\w@\w[\w-]*(?:\.\w[\w-]*)+")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MONTH_BY_ABBREVIATION = {month[:3]: month for month in _MONTHS} | {"Sept": "September"}
_CURRENCIES = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}
_UNITS = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "kg": "kilogram", "g": "gram",
    "mg": "milligram", "l": "liter", "ml": "milliliter", "km/h": "kilometer| per hour", "mph": "mile| per hour",
    "lb": "pound", "lbs": "pound", "oz": "ounce", "ft": "foot", "mi": "mile", "min": "minute", "sec": "second",
    "hrs": "hour", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "kW": "kilowatt",
    "kWh": "kilowatt hour", "°C": "degree| Celsius", "°F": "degree| Fahrenheit", "°": "degree",
}  # fmt: skip
"""The part before the bar gets the plural ending."""
_FRACTIONS = {"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter", "3/4": "three quarters"}


def email_said(found: Found) -> str:
    name, _, host = found[0].partition("@")
    for mark, word in ((".", " dot "), ("_", " underscore "), ("-", " dash "), ("+", " plus ")):
        name = name.replace(mark, word)
    return f"{name} at {host.replace('.', ' dot ')}"


def _date(year: str, month: str, day: str) -> str:
    return f"{_MONTHS[int(month) - 1]} {_ordinal(int(day))}, {year}"


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _american_date(found: Found) -> str:
    """Only if it is unambiguous: 3/4 may be in March or in April."""
    first, second, year = int(found[1]), int(found[2]), found[3]
    if first <= 12 < second:
        return _date(year, found[1], found[2])
    return _date(year, found[2], found[1]) if second <= 12 < first else found[0]


def _digits(found: Found) -> str:
    """A telephone number, digit by digit, with pauses between its groups."""
    groups = [" ".join(group) for group in re.findall(r"\d+", found[0])]
    return ("plus " if found[0].startswith("+") else "") + ", ".join(groups)


def _long_number(found: Found) -> str:
    number = found[0]
    return ", ".join(" ".join(number[at : at + 3]) for at in range(0, len(number), 3))


def _money(found: Found) -> str:
    (unit, part), whole, fraction, scale = _CURRENCIES[found["sign"]], found["whole"], found["part"], found["scale"]
    if scale or (fraction and len(fraction) != 2):
        amount = whole + (f".{fraction}" if fraction else "")
        return f"{amount} {scale} {unit}s" if scale else f"{amount} {unit}s"
    units = "" if not int(whole.replace(",", "")) and fraction and int(fraction) else _several(whole, unit)
    parts = _several(str(int(fraction)), part) if fraction and int(fraction) else ""
    return " and ".join(filter(None, (units, parts)))


def _several(number: str, unit: str) -> str:
    singular, _, rest = unit.partition("|")
    plural = {"foot": "feet", "penny": "pence"}.get(singular, f"{singular}s")
    return f"{number} {singular if number == '1' else plural}{rest}"


def _time(found: Found) -> str:
    hour, minute, half = found[1], found[2], found[3]
    said = {"00": "" if half else " o'clock" if int(hour) <= 12 else " hundred"}.get(minute)
    if said is None:
        said = f" oh {minute[1]}" if minute[0] == "0" else f":{minute}"
    return f"{int(hour)}{said}" + (f" {half}" if half else "")


RULES: tuple[tuple[re.Pattern[str], str | Callable[[Found], str]], ...] = (
    (re.compile(r"\be\.g\.,?", re.IGNORECASE), "for example"),
    (re.compile(r"\bi\.e\.,?", re.IGNORECASE), "that is"),
    (re.compile(r"\bvs\.?(?=\s)"), "versus"),
    (re.compile(r"\b[Aa]pprox\."), "approximately"),
    (re.compile(r"\b(Mr|Mrs|Ms|Dr|Prof)\.(?=\s)"), r"\1"),
    (re.compile(r"\b([AaPp])\.[Mm]\."), r"\1m"),
    (
        re.compile(r"\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\s+\d)"),
        lambda m: _MONTH_BY_ABBREVIATION[m[1]],
    ),
    (re.compile(r"(?:\b[Nn]o\.\s*|#)(?=\d)"), "number "),
    (
        re.compile(r"(?<![\w-])(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?![\w-])"),
        lambda m: _date(m[1], m[2], m[3]),
    ),
    (re.compile(r"(?<![\w/])(0?[1-9]|[12]\d|3[01])/(0?[1-9]|[12]\d|3[01])/(\d{4})(?![\w/])"), _american_date),
    (re.compile(r"\+\d{1,3}(?:[ .-]?\(?\d{2,5}\)?){2,5}(?!\w)"), _digits),
    (re.compile(r"(?<![\w.,-])(?:(?:1[ .-])?\(?\b\d{3}\)?[ .-]\d{3}[ .-]|\d{3}-)\d{4}(?![\w-])"), _digits),
    (re.compile(r"(?<![\w.,-])(?:0\d{3,}|\d{9,})(?![\w-]|[.,]\d)"), _long_number),
    (re.compile(r"(?<=\d)[–-](?=[$€£]\d)|(?<=\d) – (?=\d)"), " to "),
    (re.compile(r"(?<![\d.,:–-])(\d+(?:[.,:]\d+)*)[–-](?=(?:\d+(?:[.,:]\d+)*)(?![\d–-]))"), r"\1 to "),
    (
        re.compile(
            r"(?P<sign>[$€£])\s?(?P<whole>\d{1,3}(?:,\d{3})++|\d++)(?:\.(?P<part>\d++))?(?![\d,]*\d)"
            r"(?:\s(?P<scale>thousand|million|billion)\b)?"
        ),
        _money,
    ),
    (re.compile(r"(?<![\w:.,])([01]?\d|2[0-3]):([0-5]\d)(?![\w:])(?:\s*([AaPp][Mm])\b)?"), _time),
    (
        re.compile(
            r"(?<![\w.,])(\d+(?:[.,]\d+)*)\s?("
            + "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
            + r")(?![\w/°])"
        ),
        lambda m: _several(m[1], _UNITS[m[2]]),
    ),
    (re.compile(r"(?<![\w/])[123]/[234](?![\w/])"), lambda m: _FRACTIONS.get(m[0], m[0])),
    (re.compile(r"(?<=\d)\s?[x×*]\s?(?=\d)"), " times "),
    (re.compile(r"~\s?(?=\d)"), "about "),
    (re.compile(r"\s*&\s*"), " and "),
    (re.compile(r"\band/or\b"), "and or"),
    (re.compile(r"(?<=[A-Za-z])/(?=[A-Za-z])"), " or "),
)
