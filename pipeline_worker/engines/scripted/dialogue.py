"""A scripted dialogue: computes the next state from the last one and the caller's words.

A form is the intent whose slots are being filled. It is in one of three states: a slot is asked for, the form is read
back for confirmation, or it is done. The conversation determines the state, so nothing is stored.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from pipeline_worker.engines.protocols import Reply
from pipeline_worker.engines.scripted.interpreter import DialogueContext, Interpreter, Meaning
from pipeline_worker.engines.scripted.script import NO, YES, Intent, Script
from pipeline_worker.engines.scripted.slots import Known

_FEW_WORDS = 4
"""In at most this many words, the name of a slot says what to change: "the time, please"."""


class DialogueState(NamedTuple):
    """The state of a dialogue after a turn."""

    said: Reply
    form: str | None = None
    """The intent whose slots are being filled, or were filled last."""
    known: Known = {}
    asked: str | None = None
    """The slot of the last question."""
    confirming: bool = False
    done: bool = False
    """The form's reply was given; later changes need no confirmation."""
    aside: str | None = None
    """The last answered intent, if it has no slots."""
    amending: bool = False
    """The caller was asked what to change."""
    misses: int = 0
    """Turns in a row without a match."""


class ScriptedDialogue:
    """Pure. Days such as "tomorrow" are relative to `today`."""

    def __init__(self, script: Script, interpreter: Interpreter, today: date) -> None:
        self._script = script
        self._interpreter = interpreter
        self._today = today
        self._intents = {intent.name: intent for intent in script.intents}

    def turn(self, before: DialogueState, text: str) -> DialogueState:
        """The state after the caller has said `text`."""
        meaning = self._meaning(before, text)
        is_short = not meaning.values and len(text.split()) <= _FEW_WORDS
        if (before.amending or before.confirming) and is_short and (asked := self._asked_to_change(before, text)):
            return asked
        if meaning.intent in (YES, NO):
            return self._confirmed(before) if meaning.intent == YES else self._amend(before, text)
        if meaning.is_backchannel and (missing := self._missing(before)) is not None:
            return before._replace(said=Reply(self._script.slots[missing].ask or ""))
        intent = self._intents.get(meaning.intent or "")
        if intent is None or intent.amends:
            form = intent.amends if intent is not None else self._form_for(before, meaning)
            if form is None:
                return self._not_understood(before)
            if before.form == form and not (meaning.values or meaning.rejected):
                return self._amend(before, text)
            intent = self._intents[form]
        if intent.repeats:
            return before._replace(misses=0, said=Reply(before.said.text))
        if intent.forgets:
            return DialogueState(Reply(self._reply(intent, {})))
        if intent.needs:
            return self._fill(before, intent, meaning)
        return self._aside(before, intent, meaning)

    def heard(self, before: DialogueState, text: str) -> DialogueState:
        """The state after the agent's own words, which show how often it did not understand."""
        misses = [count for count, words in enumerate(self._script.fallback, 1) if text.startswith(words)]
        return before._replace(misses=max([before.misses, *misses]))

    def _meaning(self, before: DialogueState, text: str) -> Meaning:
        now = DialogueContext(before.form, tuple(before.known.items()), before.asked, before.confirming, before.aside)
        return self._interpreter.interpret(text, now, self._today)

    def _form_for(self, before: DialogueState, meaning: Meaning) -> str | None:
        """Values without an intent belong to the open form, or open the first one that needs them."""
        named = meaning.values.keys() | meaning.rejected.keys()
        order = [self._intents[before.form]] if before.form else []
        return next((intent.name for intent in [*order, *self._script.intents] if named & set(intent.needs)), None)

    def _fill(self, before: DialogueState, intent: Intent, meaning: Meaning) -> DialogueState:
        """Values correct a complete form; the same intent without values starts it over."""
        is_open = before.form == intent.name and (
            self._missing(before) is not None or bool(meaning.values or meaning.rejected)
        )
        was_done = is_open and before.done
        known = dict(before.known) if is_open else {}
        known |= {name: value for name, value in meaning.values.items() if name in intent.needs}
        rejected = self._beyond_limits(known, [name for name in meaning.rejected if name in intent.needs])
        now = DialogueState(before.said, intent.name, known, done=was_done)
        if rejected is not None:
            known.pop(rejected, None)  # asked for again, and read back with the rest
            slot = self._script.slots[rejected]
            return now._replace(asked=rejected, said=Reply(slot.otherwise or slot.ask or ""))
        if (missing := self._missing(now)) is not None:
            return now._replace(asked=missing, said=Reply(self._script.slots[missing].ask or ""))
        if intent.confirm and not was_done:
            return now._replace(confirming=True, said=Reply(self._filled(intent.confirm, known)))
        return now._replace(said=Reply(self._reply(intent, known)), done=True)

    def _beyond_limits(self, known: dict[str, Any], named: Iterable[str]) -> str | None:
        """The first slot to ask for again: limits may depend on other values. Removes such slots from `known`."""
        beyond = list(named)
        for name, value in list(known.items()):
            if self._script.slots[name].read(value, known) is None:
                beyond.append(name)
                del known[name]
        return next(iter(beyond), None)

    def _confirmed(self, before: DialogueState) -> DialogueState:
        intent = self._intents[before.form or ""]
        return DialogueState(Reply(self._reply(intent, before.known)), before.form, before.known, done=True)

    def _amend(self, before: DialogueState, text: str) -> DialogueState:
        """Asks what to change, unless the caller named it."""
        if (asked := self._asked_to_change(before, text)) is not None:
            return asked
        if self._missing(before) is not None:
            return self._not_understood(before)
        return before._replace(said=Reply(self._script.amend), amending=True, misses=0)

    def _asked_to_change(self, before: DialogueState, text: str) -> DialogueState | None:
        """The question for the slot that the caller named without a new value: "the time"."""
        if before.form is None:
            return None
        named = [name for name in self._intents[before.form].needs if self._script.slots[name].is_named_in(name, text)]
        if len(named) != 1:
            return None
        kept = {name: value for name, value in before.known.items() if name != named[0]}
        return DialogueState(Reply(self._script.slots[named[0]].ask or ""), before.form, kept, asked=named[0])

    def _aside(self, before: DialogueState, intent: Intent, meaning: Meaning) -> DialogueState:
        """Answers in the middle of a form, then repeats the form's open question."""
        answer = self._reply(intent, {**before.known, **meaning.values, **meaning.rejected}, meaning)
        if intent.ends_call:
            return before._replace(said=Reply(answer, end_call=True), misses=0)
        return before._replace(said=Reply(self._with_question(answer, before)), misses=0, aside=intent.name)

    def _not_understood(self, before: DialogueState) -> DialogueState:
        fallback = self._script.fallback[min(before.misses, len(self._script.fallback) - 1)]
        return before._replace(said=Reply(self._with_question(fallback, before)), misses=before.misses + 1)

    def _missing(self, state: DialogueState) -> str | None:
        needs = self._intents[state.form].needs if state.form else ()
        return next((slot for slot in needs if slot not in state.known), None)

    def _with_question(self, answer: str, state: DialogueState) -> str:
        if state.confirming and state.form and (question := self._intents[state.form].confirm):
            return f"{answer} {self._filled(question, state.known)}"
        missing = self._missing(state)
        return f"{answer} {self._script.slots[missing].ask}" if missing else answer

    def _reply(self, intent: Intent, known: Known, meaning: Meaning | None = None) -> str:
        """The first answer whose conditions hold. In an aside, only slots that were just named count."""
        named = known if meaning is None else {name: known[name] for name in (*meaning.values, *meaning.rejected)}
        for answer in intent.answers:
            if all(
                name in named and self._script.slots[name].key(named[name]) in values
                for name, values in answer.conditions
            ):
                return self._filled(answer.say, known)
        return ""

    def _filled(self, text: str, known: Mapping[str, Any]) -> str:
        return text.format(**{name: self._script.slots[name].said(value, self._today) for name, value in known.items()})
