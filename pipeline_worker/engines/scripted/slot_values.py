"""Which values a sentence names for the slots of a script.

Every slot finds its own; here it is decided which of them count. A value that is denied ("not Friday") does not, the
last one named does ("four, no, five"), and a bare number goes to the slot that was asked for.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from pipeline_worker.engines.scripted.slots import ChoiceSlot, DateSlot, Known, NameSlot, PeopleSlot, Slot, TimeSlot
from pipeline_worker.engines.scripted.values import party_sizes
from pipeline_worker.engines.scripted.values.sentence import Found, with_figures

_DENIED = re.compile(
    r"\b(?:not|instead of|rather than|isn't|wasn't|and no longer|no longer|don't mean)\s+(?:(?:for|on|at|the|under|from|of)\s+)*$",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"\b(?:no|sorry|wait|hang on|hold on|actually|i mean|make that|make it|rather|or|scratch that|tell a lie|pardon)\b",
    re.IGNORECASE,
)
_MOVED = re.compile(r"\bfrom\s+$", re.IGNORECASE)
_SHIFT = re.compile(
    r"\b(?:(?P<half>half an hour)|(?P<n>\d{1,2}|an?) (?P<unit>hours?|minutes?|days?|weeks?)) (?P<way>later|earlier|sooner|before|after)\b(?: (?:that|than that))?",
    re.IGNORECASE,
)

_DAY_SHIFT = re.compile(
    r"\b(?:the |(?P<n>a|\d) )?(?P<unit>days?|weeks?) (?P<way>later|earlier|sooner|before|after)\b", re.IGNORECASE
)


class SlotValues(NamedTuple):
    values: Mapping[str, Any]
    """As each slot's `read` returned them."""
    rejected: Mapping[str, Any]
    """Values beyond the limits of their slot, as they were found."""
    rest: str
    """The sentence without them. Choices stay: they are words of the matter."""


class _Candidate(NamedTuple):
    slot: str
    found: Found
    denied: bool


def find_values(slots: Mapping[str, Slot], text: str, asked: str | None, known: Known, today: date) -> SlotValues:
    """`asked` is the slot that the agent's last question was about, `known` what is collected already."""
    sentence = with_figures(text)
    taken = _take(slots, sentence, asked, known, today)
    values: dict[str, Any] = {}
    rejected: dict[str, Any] = {}
    # Days come first: hours are read within the limits of their day.
    for name in sorted({one.slot for one in taken}, key=lambda name: not isinstance(slots[name], DateSlot)):
        slot = slots[name]
        wanted = _wanted(taken, name, slot)
        readings = [slot.read(one.found.value, {**known, **values}) for one in wanted]
        if not readings:
            continue
        others = [value for value in readings if value is not None and value != known.get(name)]
        if others:
            values[name] = others[-1]
        elif readings[-1] is None:
            rejected[name] = wanted[-1].found.value
        else:
            values[name] = readings[-1]
    values |= _shifted(slots, sentence, known, taken)
    return SlotValues(values, rejected, _rest(sentence, slots, taken))


def _take(slots: Mapping[str, Slot], sentence: str, asked: str | None, known: Known, today: date) -> list[_Candidate]:
    """What stands where, without two values in one place."""
    found = [(name, one) for name, slot in slots.items() for one in slot.find(sentence, name == asked, today)]
    sure = sorted((one for one in found if one[1].sure), key=lambda one: one[1].start - one[1].end)
    taken: list[_Candidate] = []
    for name, one in sure:
        if not any(one.start < other.found.end and other.found.start < one.end for other in taken):
            taken.append(_Candidate(name, one, _is_denied(sentence, one)))
    bare: dict[tuple[int, int], dict[str, Found]] = {}
    for name, one in found:
        if not one.sure and not any(one.start < other.found.end and other.found.start < one.end for other in taken):
            bare.setdefault((one.start, one.end), {})[name] = one
    certain = sorted(taken, key=lambda one: one.found.start)
    # What is denied goes first: "nine, not seven" is about whatever is at seven.
    sure_of = {one.slot for one in certain}
    for (start, end), by_slot in sorted(
        bare.items(), key=lambda one: (not _DENIED.search(sentence[: one[0][0]]), one[0])
    ):
        if name := _owner(slots, by_slot, asked, known, certain, sure_of, sentence, start, end):
            taken.append(_Candidate(name, by_slot[name], _is_denied(sentence, by_slot[name])))
            certain = sorted(taken, key=lambda one: one.found.start)
    return sorted(taken, key=lambda one: one.found.start)


def _owner(
    slots: Mapping[str, Slot],
    names: Iterable[str],
    asked: str | None,
    known: Known,
    certain: Sequence[_Candidate],
    sure_of: Collection[str],
    sentence: str,
    start: int,
    end: int,
) -> str | None:
    """The slot that the bare number at `start` belongs to, of those that could have it."""
    before = next((one for one in reversed(certain) if one.found.end <= start), None)
    after = next((one for one in certain if one.found.start >= end), None)
    if before and before.slot in names and _CORRECTION.search(sentence[before.found.end : start]):
        return before.slot
    if after and after.slot in names and _CORRECTION.search(sentence[end : after.found.start]):
        return after.slot
    named = {one.slot for one in certain}
    word = sentence[start:end]
    if asked in names and (
        asked not in sure_of or (after is not None and after.slot == asked) or sentence[:start].lower().endswith(" so ")
    ):
        return asked
    if (
        before
        and before.slot in names
        and (sentence[:start].lower().endswith(" so ") or before.found.value == int(word))
    ):
        return before.slot
    for name in names:  # "not seven, six": the slot that has a seven
        if name in known and slots[name].key(known[name]).lstrip("0").split(":")[0] in (word, str(int(word) + 12)):
            return name
    for beside in (before, after):
        if known and beside and beside.slot in names and beside.denied:
            return beside.slot
    free = [name for name in names if name not in named]
    return next((name for kind in (PeopleSlot, TimeSlot) for name in free if isinstance(slots[name], kind)), None)


def _wanted(taken: Sequence[_Candidate], name: str, slot: Slot) -> list[_Candidate]:
    """Those of one slot that were not denied. A weekday beside its own date only explains it."""
    wanted = [one for one in taken if one.slot == name and not one.denied]
    if isinstance(slot, DateSlot):
        dates = [one.found.value for one in wanted if one.found.explicit]
        wanted = [
            one
            for one in wanted
            if one.found.explicit or not any(one.found.value.weekday() == day.weekday() for day in dates)
        ]
    return wanted


def _is_denied(sentence: str, found: Found) -> bool:
    before = sentence[: found.start]
    if _DENIED.search(before) or _DENIED.match(sentence[found.start : found.end]):
        return True
    return bool(_MOVED.search(before)) and " to " in sentence[found.end :]


def _shifted(slots: Mapping[str, Slot], sentence: str, known: Known, taken: Sequence[_Candidate]) -> dict[str, Any]:
    """Changes of what is known: "an hour later", "two more people"."""
    values: dict[str, Any] = {}
    for name, slot in slots.items():
        if name not in known or any(one.slot == name and one.found.sure for one in taken):
            continue
        if isinstance(slot, PeopleSlot) and (change := party_sizes.find_change(sentence.lower())):
            values[name] = known[name] + change[0]
        if isinstance(slot, DateSlot) and (match := _DAY_SHIFT.search(sentence)):
            size = 1 if match["n"] in (None, "a", "1") else int(match["n"])
            days = size * (7 if "week" in match["unit"] else 1)
            values[name] = known[name] + timedelta(days if match["way"] in ("later", "after") else -days)
        if (
            isinstance(slot, TimeSlot)
            and (match := _SHIFT.search(sentence))
            and (match["half"] or match["unit"][0] in "hm")
        ):
            size = (
                30
                if match["half"]
                else (1 if match["n"][0] == "a" else int(match["n"])) * (60 if match["unit"][0] == "h" else 1)
            )
            later = match["way"] in ("later", "after")
            values[name] = known[name] + (size if later else -size)
    return {name: value for name, value in values.items() if slots[name].read(value, known) is not None}


def _rest(sentence: str, slots: Mapping[str, Slot], taken: Sequence[_Candidate]) -> str:
    for one in reversed(taken):
        if not isinstance(slots[one.slot], ChoiceSlot):
            sentence = f"{sentence[: one.found.start]} {sentence[one.found.end :]}"
    return " ".join(sentence.split())
