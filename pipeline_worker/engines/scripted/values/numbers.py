"""Numbers of things, and numbers that are said digit by digit: "three nights", "order 4 5 2 1"."""

import re
from collections.abc import Iterator, Sequence

from pipeline_worker.engines.scripted.values.choices import singular_or_plural
from pipeline_worker.engines.scripted.values.sentence import Found

_BARE = re.compile(r"(?<![.:])\b\d{1,9}\b(?![.:]\d)")
_DIGITS = re.compile(r"\b\d(?:[ -]?\d)*\b")


def find(text: str, units: Sequence[str]) -> Iterator[Found]:
    """The numbers in `text`, which has figures. One beside a unit ("3 nights", "nights: 3") is sure."""
    if units:
        unit = singular_or_plural(units)
        beside = rf"\b(?P<before>\d{{1,9}}|one|an?) {unit}|\b{unit}(?: is| are|:)? (?P<after>\d{{1,9}})\b"
        for match in re.finditer(beside, text, re.IGNORECASE):
            yield Found(match.start(), match.end(), _number(match["before"] or match["after"]))
    for match in _BARE.finditer(text):
        yield Found(match.start(), match.end(), int(match[0]), sure=False)


def _number(said: str) -> int:
    return int(said) if said.isdigit() else 1


def find_digits(text: str, count: int) -> Iterator[Found]:
    """Runs of `count` digits, however they are grouped: "45 21" has four. The value is text: it may begin with 0."""
    for match in _DIGITS.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if len(digits) == count:
            yield Found(match.start(), match.end(), digits)
