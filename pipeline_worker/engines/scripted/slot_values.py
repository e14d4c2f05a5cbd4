"""Finds the values that a sentence gives to slots, and the rest of the sentence.

Denied values ("not Friday") do not count. Of several values the last one counts ("four, no, five").
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from pipeline_worker.engines.scripted.mentions import Mention, mentions_in
from pipeline_worker.engines.scripted.slots import ChoiceSlot, DateSlot, Known, PeopleSlot, Slot, TimeSlot
from pipeline_worker.engines.scripted.values import party_sizes
from pipeline_worker.engines.scripted.values.sentence import with_figures

_PART_OF_DAY = re.compile(r"\b(?:in the (?:morning|afternoon|evening)|at night)\b", re.IGNORECASE)
"""Part of a time, wherever it stands."""

_UNITS = {"hour": timedelta(hours=1), "minute": timedelta(minutes=1), "day": timedelta(1), "week": timedelta(7)}
_WAY = r"(?P<way>later|earlier|sooner|before|after)\b"
_TIME_CHANGE = re.compile(
    rf"\b(?:(?P<half>half an)|(?P<n>\d{{1,2}}|an?)) (?P<unit>hour|minute)s? {_WAY}", re.IGNORECASE
)
_DAY_CHANGE = re.compile(rf"\b(?:the |(?P<n>a|\d) )?(?P<unit>day|week)s? {_WAY}", re.IGNORECASE)


class SlotValues(NamedTuple):
    values: Mapping[str, Any]
    """As returned by each slot's `read`."""
    rejected: Mapping[str, Any]
    """Values beyond the limits of their slot, as they were found."""
    rest: str
    """The sentence without its values, except choices, which show what it is about."""


def find_values(slots: Mapping[str, Slot], text: str, asked: str | None, known: Known, today: date) -> SlotValues:
    """`asked` is the slot that the agent's last question was about, `known` what is collected already."""
    sentence = with_figures(text)
    mentions = mentions_in(sentence, slots, asked, known, today)
    values: dict[str, Any] = {}
    rejected: dict[str, Any] = {}
    # Days come first, because the limits of a time depend on its day.
    for name in sorted({one.slot for one in mentions}, key=lambda name: not isinstance(slots[name], DateSlot)):
        wanted = _wanted(mentions, name, slots[name])
        readings = [slots[name].read(one.found.value, {**known, **values}) for one in wanted]
        within = [value for value in readings if value is not None]
        new = [value for value in within if value != known.get(name)]
        if within:
            values[name] = (new or within)[-1]
        elif readings:
            rejected[name] = wanted[-1].found.value
    named = {one.slot for one in mentions if one.found.sure}
    for name, value in relative_changes(sentence, slots, known).items():
        if name in named:
            continue
        if slots[name].read(value, {**known, **values}) is None:
            rejected[name] = value
        else:
            values[name] = value
    return SlotValues(values, rejected, _without(sentence, slots, mentions))


def relative_changes(sentence: str, slots: Mapping[str, Slot], known: Known) -> dict[str, Any]:
    """New values of known slots: "an hour later", "2 more people", "the day after"."""
    changed: dict[str, Any] = {}
    for name, slot in slots.items():
        if name not in known:
            continue
        if isinstance(slot, PeopleSlot) and (change := party_sizes.find_change(sentence.lower())):
            changed[name] = known[name] + change
        elif isinstance(slot, DateSlot) and (match := _DAY_CHANGE.search(sentence)):
            changed[name] = known[name] + _difference(match)
        elif isinstance(slot, TimeSlot) and (match := _TIME_CHANGE.search(sentence)):
            changed[name] = known[name] + _difference(match) // timedelta(minutes=1)
    return changed


def _difference(match: re.Match[str]) -> timedelta:
    number = match["n"] or ""
    difference = _UNITS[match["unit"].lower()] * (int(number) if number.isdigit() else 1)
    if match.groupdict().get("half"):
        difference /= 2
    return difference if match["way"].lower() in ("later", "after") else -difference


def _wanted(mentions: Sequence[Mention], name: str, slot: Slot) -> list[Mention]:
    """A slot's mentions that are not denied. A day of the week beside its own date is dropped."""
    wanted = [one for one in mentions if one.slot == name and not one.denied]
    if not isinstance(slot, DateSlot):
        return wanted
    weekdays = {one.found.value.weekday() for one in wanted if one.found.explicit}
    return [one for one in wanted if one.found.explicit or one.found.value.weekday() not in weekdays]


def _without(sentence: str, slots: Mapping[str, Slot], mentions: Sequence[Mention]) -> str:
    for one in reversed(mentions):
        if not isinstance(slots[one.slot], ChoiceSlot):
            sentence = f"{sentence[: one.found.start]} {sentence[one.found.end :]}"
    return " ".join(_PART_OF_DAY.sub(" ", sentence).split())
