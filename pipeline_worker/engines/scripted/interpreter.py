"""Interprets a caller's sentence in the context of the dialogue: its intent and its slot values.

The intent is the one whose examples the sentence without its values resembles most. Values count for the intent that
needs them; words in no example count against all. The constants were tuned on the sentences of tests/agents.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline_worker.engines.scripted.intents import IntentMatcher, Part, Scores, plain, says_something, words
from pipeline_worker.engines.scripted.script import NO, YES, Script, stock_sentences
from pipeline_worker.engines.scripted.sentence_vectors import vectors_of
from pipeline_worker.engines.scripted.slot_values import SlotValues, find_values
from pipeline_worker.engines.scripted.slots import ChoiceSlot
from pipeline_worker.turns.backchannels import BargeInWords

_MOST_CHARACTERS = 250
"""Of what the caller says at once, about 20 s of speech: interpreted in 10 to 20 ms, whatever they are. The time to
search for values grows faster than the length."""
_ANY_DAY = date(2026, 1, 1)
_ENOUGH = 0.38
"""Less resemblance matches no intent."""
_SURE = 0.78
"""With this resemblance, words match another intent although they contain values for a form."""
_OVER_SMALL_TALK = 0.47
"""With this resemblance, one part of a sentence outranks small talk in another."""
_VALUES_ADD = (0.0, 0.1, 0.17, 0.22)
"""Added to the resemblance to a form for none, one, two and more of its values."""
_ANSWER_ADDS = 0.15
"""Added for the value that was asked for."""
_CHOICE_ADDS = 0.2
_CONFIRMING_ADDS = 0.1
"""Added to yes and no while a confirmation is expected."""
_STRANGE_COSTS = 0.05
"""Subtracted for each strange word: not common, and in no example."""
_STRANGE_COUNT = 4
"""Most strange words that count."""
_SHORTEST_STRANGE = 3
_COMMON = 4
"""A word in this many stock sentences is not strange."""
_OUT_OF_SCOPE = 0.62
"""With this resemblance to out-of-scope sentences, values alone are no answer."""
_OUT_OF_SCOPE_UNASKED = 0.54
"""The same if other values were asked for, or none."""
_OUT_OF_SCOPE_FRESH = 0.44
"""The same without a form."""
_MOST_STRANGE = 3
"""Most strange words beside values for an open form."""
_MOST_STRANGE_ASKED = 6
"""The same beside the value that was asked for."""


class DialogueContext(NamedTuple):
    """The part of the dialogue state that matters to interpretation."""

    form: str | None = None
    """The intent whose values are being collected, or were collected last."""
    known: tuple[tuple[str, Any], ...] = ()
    asked: str | None = None
    """The slot of the last question."""
    confirming: bool = False
    aside: str | None = None
    """The intent that was answered last, if it needs nothing."""


class Meaning(NamedTuple):
    intent: str | None
    """An intent, `YES` or `NO`; None for values only, or nothing."""
    values: Mapping[str, Any] = {}
    rejected: Mapping[str, Any] = {}
    """Values beyond the limits of their slot."""
    is_backchannel: bool = False
    """Only a word such as "okay" was said."""


class _Heard(NamedTuple):
    """A sentence before its interpretation."""

    found: SlotValues
    new: frozenset[str]
    """Slots with a named value that is new, or beyond the limits."""
    form: str | None
    """The intent that needs them: the open one, or the first."""
    parts: Sequence[Part]
    context: DialogueContext


class Interpreter:
    """For one script, shared by all sessions. A backchannel alone matches no intent: "okay" is not "okay, goodbye"."""

    def __init__(self, script: Script, backchannels: Iterable[str]) -> None:
        self._slots = script.slots
        self._intents = {intent.name: intent for intent in script.intents}
        self._says_something = BargeInWords(backchannels, min_words=0).claim
        examples: dict[str | None, Sequence[str]] = {intent.name: intent.examples for intent in script.intents}
        self._to_the_letter = {plain(text): name for name, texts in examples.items() for text in texts}
        examples |= {
            YES: script.agree,
            NO: script.decline,
            None: (*stock_sentences("out_of_scope"), *script.out_of_scope),
        }
        without_values = {name: [self._without_values(text) for text in texts] for name, texts in examples.items()}
        self._matcher = IntentMatcher(without_values, vectors_of)
        spread = Counter(word for text in without_values[None] for word in set(words(text)))
        self._vocabulary = {word for word, count in spread.items() if count >= _COMMON}
        self._vocabulary.update(
            word for name, texts in without_values.items() if name for text in texts for word in words(text)
        )
        self._small_talk = {intent.name for intent in script.intents if intent.small_talk}
        self._gives_way = {intent.name for intent in script.intents if intent.small_talk or intent.repeats} | {YES, NO}
        self.interpret = lru_cache(maxsize=4096)(self._interpret)

    def _interpret(self, text: str, context: DialogueContext, today: date) -> Meaning:
        known = dict(context.known)
        text = text[:_MOST_CHARACTERS]
        found = find_values(self._slots, text, context.asked, known, today)
        if not (context.confirming or found.values or found.rejected or self._says_something(text)):
            return Meaning(self._to_the_letter.get(plain(text)), is_backchannel=bool(text.strip()))
        new = (
            frozenset(name for name, value in found.values.items() if known.get(name) != value) | found.rejected.keys()
        )
        heard = _Heard(found, new, self._form_of(new, context), self._matcher.parts(found.rest), context)
        intent = self._followed_up(heard) or self._intent(heard)
        if intent is None and not self._is_answer(heard):
            return Meaning(None)
        return Meaning(intent, found.values, found.rejected)

    def _form_of(self, new: frozenset[str], context: DialogueContext) -> str | None:
        order = [self._intents[context.form]] if context.form else []
        return next((one.name for one in [*order, *self._intents.values()] if new & set(one.needs)), None)

    def _intent(self, heard: _Heard) -> str | None:
        """The intent that the words resemble most. None if too little, or if the values say more than the words."""
        parts = [self._weighed(part, heard) for part in heard.parts]
        best: Scores = {}
        for scores in parts:
            best |= {name: score for name, score in scores.items() if score > best.get(name, 0.0)}
        name = max(best, key=lambda name: best[name], default=None)
        if name in self._gives_way and heard.form is not None:
            name = self._beside_small_talk(parts, name)
            return None if name in self._gives_way else name
        if name in self._small_talk and heard.context.confirming and best[name] - best.get(YES, 0.0) < _CONFIRMING_ADDS:
            name = YES
        if name in self._small_talk or name in (YES, NO):
            name = self._beside_small_talk(parts, name)
        if name is None or best[name] < _ENOUGH:
            return None
        if heard.form in (None, name) or best[name] >= _SURE:
            return name
        is_answer = heard.context.asked in heard.new and not heard.found.rest.endswith("?")
        if is_answer or len(heard.new & set(self._intents[heard.form].needs)) > 1:
            return None if heard.context.form else heard.form
        return name

    def _followed_up(self, heard: _Heard) -> str | None:
        """The last answered intent, if it is asked again with another value: "And on Sunday?"."""
        aside = self._intents.get(heard.context.aside or "")
        if aside is None or heard.context.asked is not None or not heard.new or not heard.new <= set(aside.uses):
            return None
        return None if says_something(heard.found.rest) else aside.name

    def _beside_small_talk(self, parts: Sequence[Scores], name: str) -> str:
        """The intent of a part that is not small talk; otherwise a farewell wins over other small talk."""
        tops = [max(scores.items(), key=lambda one: one[1]) for scores in parts]
        others = {
            other: score
            for other, score in tops
            if other is not None and other in self._intents and score >= _OVER_SMALL_TALK
        }
        asked_for = {other: score for other, score in others.items() if other not in self._small_talk}
        farewells = {
            other: score for other, score in others.items() if self._intents[other].ends_call and score >= _SURE
        }
        chosen = asked_for or farewells
        return max(chosen, key=lambda other: chosen[other]) if chosen else name

    def _weighed(self, part: Part, heard: _Heard) -> Scores:
        """The part's scores, adjusted for values, context and strange words."""
        cost = _STRANGE_COSTS * min(self._strange(part.text), _STRANGE_COUNT)
        return {
            name: score if name is None else score + self._added(name, heard) - cost
            for name, score in part.scores.items()
            if heard.context.confirming or name not in (YES, NO)
        }

    def _added(self, name: str, heard: _Heard) -> float:
        """What values and context add to an intent's score."""
        if name in (YES, NO):
            return _CONFIRMING_ADDS
        intent = self._intents[name]
        choices = sum(slot in heard.new and isinstance(self._slots[slot], ChoiceSlot) for slot in intent.uses)
        added = _CHOICE_ADDS * choices
        if name == heard.form:
            needed = heard.new & set(intent.needs)
            added += _VALUES_ADD[min(len(needed), len(_VALUES_ADD) - 1)]
            added += _ANSWER_ADDS if heard.context.asked in needed else 0.0
        return added

    def _is_answer(self, heard: _Heard) -> bool:
        """Whether the sentence is values with few other words: an answer, a change or a wish."""
        if heard.form is None:
            return False
        tops = [max(part.scores.items(), key=lambda one: one[1]) for part in heard.parts]
        out_of_scope = max((score for name, score in tops if name is None), default=0.0)
        of_the_whole = tops[0][1] if tops and tops[0][0] is None else 0.0
        strange = self._strange(heard.found.rest)
        if heard.context.form is None and of_the_whole >= _OUT_OF_SCOPE_FRESH:
            return False
        if out_of_scope >= _OUT_OF_SCOPE:
            return False
        if strange == 0:
            return True
        if out_of_scope >= _OUT_OF_SCOPE_UNASKED and heard.context.asked not in heard.new:
            return False
        if heard.context.form is not None:
            return strange <= (_MOST_STRANGE_ASKED if heard.context.asked in heard.new else _MOST_STRANGE)
        return strange <= (_MOST_STRANGE if len(heard.new) > 1 else 0)

    def _strange(self, text: str) -> int:
        """Counts words that are in no example and not common."""
        return sum(len(word) >= _SHORTEST_STRANGE and word not in self._vocabulary for word in words(text))

    def _without_values(self, text: str) -> str:
        return find_values(self._slots, text, None, {}, _ANY_DAY).rest
