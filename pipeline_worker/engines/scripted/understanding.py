"""What a caller's words mean in a script, where the dialogue stands."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline_worker.core.backchannels import BargeInWords
from pipeline_worker.engines.scripted.intents import IntentMatcher, plain, stems
from pipeline_worker.engines.scripted.out_of_scope import sentences
from pipeline_worker.engines.scripted.script import Script
from pipeline_worker.engines.scripted.sentence_vectors import vectors_of
from pipeline_worker.engines.scripted.slot_values import SlotValues, find_values
from pipeline_worker.engines.scripted.slots import ChoiceSlot, Known

YES, NO = "yes", "no"
"""Names of the answers to `confirm`; no intent of a file can have them."""

_ANY_DAY = date(2026, 1, 1)
_ENOUGH = 0.38
"""Resemblance below which words ask for nothing."""
_SURE = 0.7
"""Resemblance from which words that answer the question all the same ask for something else."""
_VALUES_COUNT = (0.0, 0.1, 0.17, 0.22)
"""What none, one, two and more values of a form add to the resemblance to it."""
_ANSWER_COUNTS = 0.15
"""What the value adds that was asked for."""
_CHOICE_COUNTS = 0.2
_STRANGE_COSTS = 0.03
_NOTHING = 0.5
_NOTHING2 = 0.62
_MOST_UNKNOWN = 2
"""Words of no example beside a value, for it to be an answer."""


class Place(NamedTuple):
    """Where a dialogue stands, as far as it matters for what words mean."""

    form: str | None = None
    """The intent whose values are being collected, or were last."""
    known: tuple[tuple[str, Any], ...] = ()
    asked: str | None = None
    """The slot of the last question."""
    confirming: bool = False


class Meaning(NamedTuple):
    intent: str | None
    """An intent, `YES` or `NO`; None for nothing but values, or nothing at all."""
    values: Mapping[str, Any] = {}
    rejected: Mapping[str, Any] = {}
    """Values beyond the limits of their slot."""


class Understanding:
    """One script's, shared by all sessions. `backchannels` say too little to be a part of an example: "okay" is not
    "okay, goodbye"."""

    def __init__(self, script: Script, backchannels: Iterable[str]) -> None:
        self._script = script
        self._intents = {intent.name: intent for intent in script.intents}
        self._says_something = BargeInWords(backchannels, min_words=0).claim
        examples: dict[str | None, Sequence[str]] = {intent.name: intent.examples for intent in script.intents}
        examples |= {YES: script.agree, NO: script.decline, None: (*sentences(), *script.out_of_scope)}
        without = {name: [self._rest(text) for text in texts] for name, texts in examples.items()}
        self._matcher = IntentMatcher(without, vectors_of)
        self._to_the_letter = {plain(text): name for name, texts in examples.items() if name in self._intents for text in texts}
        self._small_talk = {intent.name for intent in script.intents if intent.small_talk}
        self._vocabulary = {word for name, texts in without.items() if name for text in texts for word in stems(text)}

        self.understand = lru_cache(maxsize=512)(self._understand)

    def _understand(self, text: str, place: Place, today: date) -> Meaning:
        known: Known = dict(place.known)
        found = find_values(self._script.slots, text, place.asked, known, today)
        if not (place.confirming or found.values or self._says_something(text)):
            return Meaning(self._to_the_letter.get(plain(text)))
        named = {name for name, value in found.values.items() if known.get(name) != value}
        named |= found.rejected.keys()
        form = self._form_of(named, place)
        intent = self._asked_for(found, named, form, place)
        if intent is None and not (form is not None and self._is_answer(found, named, place)):
            return Meaning(None)
        return Meaning(intent, found.values, found.rejected)

    def _asked_for(self, found: SlotValues, named: set[str], form: str | None, place: Place) -> str | None:
        """The intent that the words resemble most, or `YES` or `NO`."""
        best: dict[str | None, float] = {}
        tops: dict[str | None, float] = {}
        for part, scores in self._matcher.resemblances(found.rest):
            if not place.confirming:
                scores = {name: score for name, score in scores.items() if name not in (YES, NO)}
            strange = _STRANGE_COSTS * self._unknown(part)
            for name in scores:
                scores[name] += self._worth(name, named, form, place) - (strange if name is not None else 0.0)
                best[name] = max(best.get(name, 0), scores[name])
            top = max(scores, key=lambda name: scores[name])
            tops[top] = max(tops.get(top, 0.0), scores[top])
        if not best:
            return None
        name = max(best, key=lambda name: best[name])
        if name in self._small_talk or (name in (YES, NO) and form):
            others = {other: score for other, score in tops.items() if other not in (*self._small_talk, YES, NO, None) and score >= _ENOUGH}
            name = max(others, key=lambda name: others[name], default=name)
            if name in (YES, NO) and named & set(self._intents[place.form or ""].needs):
                return None
        if best[name] < _ENOUGH or (place.asked in named and name != form and best[name] < _SURE):
            return None
        return name

    def _worth(self, name: str | None, named: set[str], form: str | None, place: Place) -> float:
        """What the values beside the words add."""
        if name is None or name not in self._intents:
            return 0.0
        worth = sum(_CHOICE_COUNTS for slot in self._intents[name].uses if slot in named and isinstance(self._script.slots[slot], ChoiceSlot))
        if name == form:
            needed = named & set(self._intents[name].needs)
            worth += _VALUES_COUNT[min(len(needed), len(_VALUES_COUNT) - 1)] + (_ANSWER_COUNTS if place.asked in needed else 0.0)
        return worth

    def _is_answer(self, found: SlotValues, named: set[str], place: Place) -> bool:
        """Whether values are given with few other words, as an answer or a change."""
        unknown = self._unknown(found.rest)
        none = max((scores.get(None, 0.0) for _, scores in self._matcher.resemblances(found.rest)), default=0.0)
        if none >= _NOTHING and place.asked not in named: return False
        if none >= _NOTHING2: return False
        if place.form is not None:
            return unknown <= _MOST_UNKNOWN
        return unknown < len(named)

    def _unknown(self, text: str) -> int:
        return len([word for word in stems(text) if len(word) > 2 and word not in self._vocabulary])

    def _form_of(self, named: set[str], place: Place) -> str | None:
        """The intent that needs what was named: the open one, or the first."""
        order = [self._intents[place.form]] if place.form else []
        return next((one.name for one in [*order, *self._script.intents] if named & set(one.needs)), None)

    def _rest(self, text: str) -> str:
        return find_values(self._script.slots, text, None, {}, _ANY_DAY).rest
