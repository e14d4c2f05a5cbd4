"""The scripted dialogue: a language model that says what an agent file tells it to say.

It keeps no state of its own. What it knows follows from the conversation, so the worker that takes a session over
goes on where the other one stopped.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import NamedTuple

from pipeline_worker.core.backchannels import expected
from pipeline_worker.engines.options import read_options
from pipeline_worker.engines.protocols import Entry, Reply, Utterance
from pipeline_worker.engines.script import Intent, Script
from pipeline_worker.engines.understanding import Understanding
from shared.agent import AgentDefinition
from shared.errors import ConfigError


class Standing(NamedTuple):
    """Where a dialogue stands after a turn."""

    said: Reply
    form: str | None = None
    """The intent whose needs are being collected, or were last."""
    slots: Mapping[str, str] = {}
    misses: int = 0
    """How many times in a row nothing was understood."""


class ScriptedDialogue:
    """Pure: the next standing from the last one and the caller's words."""

    def __init__(self, script: Script, backchannels: Iterable[str] = ()) -> None:
        self._script = script
        self._understanding = Understanding(script, backchannels)
        self._intents = {intent.name: intent for intent in script.intents}

    def turn(self, before: Standing, text: str) -> Standing:
        intent_name, slots = self._understanding.understand(text, self._missing(before))
        intent = self._intents.get(intent_name or "") or self._form_for(before, slots)
        if intent is None:
            return self._not_understood(before)
        if intent.repeats:
            return before._replace(misses=0, said=Reply(before.said.text))
        if intent.forgets:
            return Standing(Reply(self._reply(intent)))
        if intent.needs:
            return self._fill(before, intent, slots, asked_anew=intent_name is not None)
        return self._aside(before, intent)

    def heard(self, before: Standing, text: str) -> Standing:
        """The agent's own words. Speech that is not understood leaves no others behind."""
        misses = [count for count, words in enumerate(self._script.fallback, 1) if text.startswith(words)]
        return before._replace(misses=max([before.misses, *misses]))

    def _missing(self, standing: Standing) -> str | None:
        needs = self._intents[standing.form].needs if standing.form else []
        return next((slot for slot in needs if slot not in standing.slots), None)

    def _form_for(self, before: Standing, slots: Mapping[str, str]) -> Intent | None:
        """Values without an intent belong to the open form, or begin the first one that needs them."""
        if not slots:
            return None
        order = [self._intents[before.form]] if before.form else []
        return next((intent for intent in [*order, *self._script.intents] if slots.keys() & set(intent.needs)), None)

    def _fill(self, before: Standing, intent: Intent, slots: Mapping[str, str], asked_anew: bool) -> Standing:
        """Values for a complete form correct it; asking for the same thing again, without any, begins anew."""
        same = before.form == intent.name
        anew = asked_anew and not slots and self._missing(before) is None
        kept = before.slots if same and not anew else {}
        now = Standing(Reply(""), intent.name, {**kept, **slots})
        missing = self._missing(now)
        return now._replace(said=Reply(self._script.slots[missing].ask if missing else self._reply(intent, now.slots)))

    def _aside(self, before: Standing, intent: Intent) -> Standing:
        """An answer in the middle of a form is followed by the form's open question."""
        answer = self._reply(intent)
        if intent.ends_call:
            return before._replace(said=Reply(answer, end_call=True), misses=0)
        return before._replace(said=Reply(self._with_question(answer, before)), misses=0)

    def _not_understood(self, before: Standing) -> Standing:
        fallback = self._script.fallback[min(before.misses, len(self._script.fallback) - 1)]
        return before._replace(said=Reply(self._with_question(fallback, before)), misses=before.misses + 1)

    def _with_question(self, answer: str, standing: Standing) -> str:
        missing = self._missing(standing)
        return f"{answer} {self._script.slots[missing].ask}" if missing else answer

    def _reply(self, intent: Intent, slots: Mapping[str, str] = {}) -> str:
        return (intent.reply or "").format(**slots)


class ScriptedLanguageModel:
    def __init__(self, dialogue: ScriptedDialogue, greeting: str) -> None:
        self._dialogue = dialogue
        self._greeting = greeting

    async def reply(self, conversation: Sequence[Entry]) -> AsyncIterator[Reply]:
        """One piece: the whole answer."""
        standing = Standing(Reply(self._greeting))
        for entry in conversation:
            if isinstance(entry, Utterance):
                standing = (self._dialogue.turn if entry.role == "user" else self._dialogue.heard)(standing, entry.text)
        yield standing.said

    async def close(self) -> None:
        """There is nothing to close."""


class Provider:
    """Scripted dialogues, one per agent, shared by its sessions."""

    def __init__(self) -> None:
        self._models: dict[str, ScriptedLanguageModel] = {}

    def add(self, agent: AgentDefinition) -> None:
        script = read_options(agent, "language_model", Script)
        if agent.tools:
            raise ConfigError(
                f"agent '{agent.id}': language_model.engine: the scripted dialogue cannot use tools: choose another "
                "language model, or remove 'tools'"
            )
        greeting = agent.greeting.text if agent.greeting else script.fallback[0]
        self._models[agent.id] = ScriptedLanguageModel(ScriptedDialogue(script, expected(agent)), greeting)

    async def start(self) -> None:
        """Nothing to load."""

    def open(self, agent_id: str) -> ScriptedLanguageModel:
        try:
            return self._models[agent_id]
        except KeyError:
            raise ConfigError(f"agent '{agent_id}' has no script") from None

    async def close(self) -> None:
        """There is nothing to close."""
