"""What a voice can say of a text that was written for the eye.

Markup goes, in any language; in English, what voices are known to misread is put into words. Which those are was
heard with eSpeak NG ("$12.50" is "dollar twelve point five zero" there); other voices read the words no worse.
"""

import html
import re
from collections.abc import Callable, Sequence
from itertools import accumulate, takewhile
from typing import NamedTuple
from urllib.parse import urlsplit

Found = re.Match[str]

_PASSES = 8
"""Taking away one mark may show another; no text of a model needs more than two or three."""

_EMOJI = (
    "\U0001f000-\U0001faff\U000e0020-\U000e007f\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2b00-\u2bff"
    "\u00a9\u00ae\u2122\ufe0e\ufe0f\u20e3\ufffc\ufffd"
)
_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\[\]()\"'`|*]+|(?<![\w.-])(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|app|edu|gov|ai|eu|uk|de)\b(?:/[\w./%?=&#-]*)?"
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]*\w@\w[\w-]*(?:\.\w[\w-]*)+")
_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"```.*?(?:```|\Z)", re.DOTALL), " "),  # a block of code
    (re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\u200b]"), ""),
    (re.compile(rf"[{_EMOJI}](?:\u200d?[{_EMOJI}])*"), " "),
    (re.compile(r"!?\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)"), r"\1"),  # [link](URL)
    (re.compile(r"</?[A-Za-z][^<>]*>"), " "),
    (re.compile(r"^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+[ \t]*(?::?-+:?)?[ \t]*$", re.MULTILINE), ""),  # |---|---|
    (re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$", re.MULTILINE), ""),  # a rule
    (re.compile(r"^[ \t]*\|[ \t]*|[ \t]*\|[ \t]*$", re.MULTILINE), ""),
    (re.compile(r"[ \t]*\|+[ \t]*"), ", "),  # cells of a table
    (re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]*|[-+*•‣▪·–—][ \t]+(?:\[[ xX]\][ \t]+)?)+", re.MULTILINE), ""),
)
_MARKS = re.compile(r"[*`#\[\]{}<>\\^|~]+")
_UNDERSCORES = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")

# Text without any of these stays as it is, which most does.
_NOTABLE = re.compile(
    r"[^\w\s,;:!?.'’\"“”()-]|[\d_]|\w\.\w|(?:^|\n)\s*-|---|\b(?:vs|[Aa]pprox|Mrs?|Ms|Dr|Prof)\b|[\x00-\x1f]"
)

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
"""What goes before the bar has a plural."""
_FRACTIONS = {"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter", "3/4": "three quarters"}


def speakable(text: str, language: str = "en") -> str:
    """One line, without markup; empty if nothing of it can be said. Applied twice it does no more than once."""
    if not _NOTABLE.search(text):
        return " ".join(text.split()) if any(map(str.isalnum, text)) else ""
    english = language.partition("-")[0].lower() == "en"
    for _ in range(_PASSES):
        before, text = text, _cleaned(text, english)
        if text == before:
            break
    return text if any(map(str.isalnum, text)) else ""


class Spoken(NamedTuple):
    """`text`, put for a voice; `said_with[i]` of its words are said when word i of the original was, never fewer than
    for the word before."""

    text: str
    said_with: Sequence[int]


def as_it_is(text: str) -> Spoken:
    return Spoken(text, range(1, len(text.split()) + 1))


def put_for_speech(text: str, language: str) -> Spoken:
    """`speakable`, and which of its words stand for which of the original's."""
    words, said = text.split(), speakable(text, language).split()
    head = _common(words, said)
    tail = _common(words[head:][::-1], said[head:][::-1])
    changed, end = words[head : len(words) - tail], len(said) - tail
    # A word takes as much as it makes those before it longer.
    parts = (" ".join(changed[:until]) for until in range(1, len(changed)))
    lengths = [min(head + len(speakable(part, language).split()), end) for part in parts]
    said_with = [*range(1, head + 1), *lengths, *([end] if changed else ()), *range(end + 1, len(said) + 1)]
    return Spoken(" ".join(said), list(accumulate(said_with, max)))


def _common(words: Sequence[str], others: Sequence[str]) -> int:
    """How many they begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, others, strict=False)))


def _cleaned(text: str, english: bool) -> str:
    lines = (" ".join(line.split()) for line in html.unescape(text).splitlines())
    text = "\n".join(filter(None, lines))
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    if english:
        text = _EMAIL.sub(_email, text)
    text = _URL.sub(lambda found: _url(found[0], english), text)
    if english:
        for pattern, put in _ENGLISH:
            text = pattern.sub(put, text)
    text = _UNDERSCORES.sub("", _MARKS.sub("", text)).replace("_", " ")
    return " ".join(text.split())


def _url(url: str, english: bool) -> str:
    """The host, and a path that is short enough to be said."""
    bare = url.rstrip(".,;:!?-_/#&=")
    end = url[len(bare) :].strip("/#&=-_")
    try:
        parts = urlsplit(bare if "://" in bare else f"https://{bare}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        host = ""
    if not host:
        return " "
    if not english:
        return host + end
    steps = [step for step in parts.path.split("/") if step]
    said = [f" slash {step}" for step in steps] if len(steps) <= 2 and all(map(_SAYABLE.fullmatch, steps)) else []
    return host.replace(".", " dot ") + "".join(said) + end


_SAYABLE = re.compile(r"[A-Za-z]{1,20}(?:-[A-Za-z]{1,20}){0,2}")


def _email(found: Found) -> str:
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
    """Only if it can be no other: 3/4 may be in March or in April."""
    first, second, year = int(found[1]), int(found[2]), found[3]
    if first <= 12 < second:
        return _date(year, found[1], found[2])
    return _date(year, found[2], found[1]) if second <= 12 < first else found[0]


def _digits(found: Found) -> str:
    """A telephone number, digit by digit with a rest between its groups."""
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


_ENGLISH: tuple[tuple[re.Pattern[str], str | Callable[[Found], str]], ...] = (
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
    (
        re.compile(
            r"(?<![\w.,-])(?:1[ .-])?\(?\b\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])|(?<![\w.,-])\d{3}-\d{4}(?![\w-])"
        ),
        _digits,
    ),
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
