"""Assigns the values in a sentence to slots.

Every slot finds its own values. Of overlapping values the longest wins. A bare number may fit several slots: it goes to
the slot that was asked for, or that its neighbours are about.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from pipeline_worker.engines.scripted.slots import Known, NumberSlot, PeopleSlot, Slot, TimeSlot
from pipeline_worker.engines.scripted.values.sentence import Found

_DENIAL = r"(?:not|instead of|rather than|isn't|wasn't|no longer|don't mean)\s+(?:(?:for|on|at|the|under|from|of)\s+)*"
_AFTER_DENIAL = re.compile(rf"\b{_DENIAL}$", re.IGNORECASE)
_WITH_DENIAL = re.compile(_DENIAL, re.IGNORECASE)
_AFTER_FROM = re.compile(r"\bfrom\s+$", re.IGNORECASE)
"""In "from Friday to Saturday" the second value counts."""
_CORRECTION = re.compile(
    r"\b(?:no|sorry|wait|hang on|hold on|actually|i mean|make that|make it|rather|scratch that|tell a lie|pardon)\b",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"\b(?:so(?: put| make| that's)?|makes|it's|we're)\s$", re.IGNORECASE)
_BEGINS_CORRECTING = re.compile(r"\W*(?:no|sorry|wait|actually|hang on|hold on)\b", re.IGNORECASE)
_ABOUT_TIME = re.compile(r"\b(?:later|earlier|sooner|bring it forward|push(?:ed)? (?:it )?back)\b", re.IGNORECASE)


class Mention(NamedTuple):
    slot: str
    found: Found
    denied: bool
    """The caller excludes this value: "not Friday"."""


def mentions_in(
    sentence: str, slots: Mapping[str, Slot], asked: str | None, known: Known, today: date
) -> list[Mention]:
    """The mentions in `sentence`, which has figures for numbers, from left to right."""
    found = [(name, one) for name, slot in slots.items() for one in slot.find(sentence, name == asked, today)]
    mentions: list[Mention] = []
    for name, one in sorted(found, key=lambda named: named[1].start - named[1].end):  # the longest first
        if one.sure and not _overlaps(one, mentions):
            mentions.append(_mention(sentence, name, one))
    numbers: dict[tuple[int, int], dict[str, Found]] = {}
    for name, one in found:
        if not one.sure and not _overlaps(one, mentions):
            numbers.setdefault((one.start, one.end), {})[name] = one
    owners = _Owners(sentence, slots, asked, known, mentions)
    # Denied numbers go first: "nine, not seven" is about the slot with value seven.
    for start, end in sorted(numbers, key=lambda place: (not _AFTER_DENIAL.search(sentence[: place[0]]), place)):
        if owner := owners.owner_of(start, end, list(numbers[start, end])):
            owners.mentions.append(_mention(sentence, owner, numbers[start, end][owner]))
    return sorted(owners.mentions, key=lambda one: one.found.start)


def _mention(sentence: str, slot: str, found: Found) -> Mention:
    before = sentence[: found.start]
    moved = bool(_AFTER_FROM.search(before)) and " to " in sentence[found.end :]
    denied = _AFTER_DENIAL.search(before) or _WITH_DENIAL.match(sentence[found.start : found.end])
    return Mention(slot, found, moved or bool(denied))


def _overlaps(found: Found, mentions: Sequence[Mention]) -> bool:
    return any(found.start < other.found.end and other.found.start < found.end for other in mentions)


class _Owners:
    """Assigns bare numbers to slots, and adds them to `mentions`."""

    def __init__(
        self, sentence: str, slots: Mapping[str, Slot], asked: str | None, known: Known, mentions: list[Mention]
    ) -> None:
        self._sentence = sentence
        self._slots = slots
        self._asked = asked
        self._known = known
        self._sure = {one.slot for one in mentions}
        self.mentions = mentions

    def owner_of(self, start: int, end: int, candidates: Sequence[str]) -> str | None:
        """The slot among `candidates` for the number from `start` to `end`, if any."""
        before, after = self._beside(start, end)
        number = int(self._sentence[start:end])
        concludes = bool(_CONCLUSION.search(self._sentence[:start]))
        if (last := self._corrected(candidates)) is not None:
            return last
        if self._asked in candidates and self._asked not in self._sure:
            return self._asked
        if before and before.slot in candidates and _CORRECTION.search(self._sentence[before.found.end : start]):
            return before.slot  # "for four, no, five"
        if after and after.slot in candidates and _CORRECTION.search(self._sentence[end : after.found.start]):
            return after.slot
        if self._asked in candidates and (concludes or (after is not None and after.slot == self._asked)):
            return self._asked
        if before and before.slot in candidates and (concludes or before.found.value == number):
            return before.slot  # "there were six, one has left, so five"
        if self._known and _ABOUT_TIME.search(self._sentence):
            times = [name for name in candidates if isinstance(self._slots[name], TimeSlot)]
            if times:
                return times[0]
        if (holder := self._holder_of(number, candidates)) is not None:
            return holder
        if self._known:
            for one in (before, after):
                if one and one.slot in candidates and one.denied:
                    return one.slot  # "not seven, six"
        named = {one.slot for one in self.mentions}
        free = [name for name in candidates if name not in named]
        return next(
            (
                name
                for kind in (PeopleSlot, NumberSlot, TimeSlot)
                for name in free
                if isinstance(self._slots[name], kind)
            ),
            None,
        )

    def _corrected(self, candidates: Sequence[str]) -> str | None:
        """The slot that was filled last, for "no, five" when the open question wants no number."""
        last = next(reversed(list(self._known)), None)
        asks_for_number = isinstance(self._slots.get(self._asked or ""), PeopleSlot | NumberSlot | TimeSlot)
        is_correction = bool(_BEGINS_CORRECTING.match(self._sentence)) and self._asked is not None
        return last if is_correction and not asks_for_number and last in candidates else None

    def _beside(self, start: int, end: int) -> tuple[Mention | None, Mention | None]:
        """The nearest mentions before and after."""
        mentions = sorted(self.mentions, key=lambda one: one.found.start)
        before = next((one for one in reversed(mentions) if one.found.end <= start), None)
        return before, next((one for one in mentions if one.found.start >= end), None)

    def _holder_of(self, number: int, candidates: Sequence[str]) -> str | None:
        """The slot whose known value is `number`, or that hour in the afternoon."""
        for name in candidates:
            if name in self._known:
                hour = self._slots[name].key(self._known[name]).partition(":")[0]
                if hour.isdigit() and int(hour) in (number, number + 12):
                    return name
        return None
