"""Changes of values that are known already: "an hour later", "two more people", "the day after"."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipeline_worker.engines.scripted.slots import DateSlot, Known, PeopleSlot, Slot, TimeSlot
from pipeline_worker.engines.scripted.values import party_sizes

_MINUTES = {"hour": 60, "minute": 1}
_DAYS = {"day": 1, "week": 7}
_WAY = r"(?P<way>later|earlier|sooner|before|after)\b"
_OF_TIME = re.compile(rf"\b(?:(?P<half>half an)|(?P<n>\d{{1,2}}|an?)) (?P<unit>hour|minute)s? {_WAY}", re.IGNORECASE)
_OF_DAY = re.compile(rf"\b(?:the |(?P<n>a|\d) )?(?P<unit>day|week)s? {_WAY}", re.IGNORECASE)


def relative_changes(sentence: str, slots: Mapping[str, Slot], known: Known) -> dict[str, Any]:
    """The changed values, of slots that have one. `sentence` has figures for numbers."""
    changed: dict[str, Any] = {}
    for name, slot in slots.items():
        if name not in known:
            continue
        if isinstance(slot, PeopleSlot) and (change := party_sizes.find_change(sentence.lower())):
            changed[name] = known[name] + change[0]
        elif isinstance(slot, DateSlot) and (match := _OF_DAY.search(sentence)):
            changed[name] = known[name] + timedelta(_signed(match, _DAYS))
        elif isinstance(slot, TimeSlot) and (match := _OF_TIME.search(sentence)):
            changed[name] = known[name] + _signed(match, _MINUTES)
    return changed


def _signed(match: re.Match[str], sizes: Mapping[str, int]) -> int:
    size = sizes[match["unit"].lower()]
    if match.groupdict().get("half"):
        size //= 2
    number = match["n"] or "1"
    count = int(number) if number.isdigit() else 1
    return size * count * (1 if match["way"].lower() in ("later", "after") else -1)
