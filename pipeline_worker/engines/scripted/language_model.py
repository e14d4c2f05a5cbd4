"""The scripted dialogue as a language model."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from pipeline_worker.engines.options import read_options
from pipeline_worker.engines.protocols import Entry, Reply, Utterance
from pipeline_worker.engines.scripted.dialogue import DialogueState, ScriptedDialogue
from pipeline_worker.engines.scripted.interpreter import Interpreter
from pipeline_worker.engines.scripted.script import Script
from pipeline_worker.turns.backchannels import expected
from shared.agent import AgentDefinition
from shared.errors import ConfigError

_AT_ONCE_S = 0.005
"""A worker that takes a session over interprets the whole conversation. In between it serves its other sessions."""


class ScriptedLanguageModel:
    """For one session. Stateless, so another worker can take the session over."""

    def __init__(self, dialogue: ScriptedDialogue, greeting: str) -> None:
        self._dialogue = dialogue
        self._greeting = greeting

    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        """One piece: the whole answer."""
        state = DialogueState(Reply(self._greeting))
        clock = asyncio.get_running_loop().time
        began = clock()
        for entry in conversation:
            if clock() - began > _AT_ONCE_S:
                await asyncio.sleep(0)
                began = clock()
            if isinstance(entry, Utterance):
                state = (self._dialogue.turn if entry.role == "user" else self._dialogue.heard)(state, entry.text)
        yield state.said

    async def close(self) -> None:
        """Nothing to close."""


class ScriptedLanguageModelProvider:
    """Each agent's script and its interpreter, which sessions share."""

    def __init__(self) -> None:
        self._scripts: dict[str, tuple[AgentDefinition, Script]] = {}
        self._interpreters: dict[str, Interpreter] = {}

    def add(self, agent: AgentDefinition) -> None:
        script = read_options(agent, "language_model", Script)
        if agent.tools:
            raise ConfigError(
                f"agent '{agent.id}': language_model.engine: the scripted dialogue cannot use tools: choose another "
                "language model, or remove 'tools'"
            )
        self._scripts[agent.id] = agent, script

    async def start(self) -> None:
        """Encodes the examples of all scripts."""
        for agent_id, (agent, script) in self._scripts.items():
            self._interpreters[agent_id] = await asyncio.to_thread(Interpreter, script, expected(agent))

    def open(self, agent_id: str) -> ScriptedLanguageModel:
        try:
            agent, script = self._scripts[agent_id]
            interpreter = self._interpreters[agent_id]
        except KeyError:
            raise ConfigError(f"agent '{agent_id}' has no script") from None
        # The day when the session began, also after midnight: "tomorrow" must keep its meaning.
        today = datetime.now(ZoneInfo(script.timezone) if script.timezone else None).date()
        greeting = agent.greeting.text if agent.greeting else script.fallback[0]
        return ScriptedLanguageModel(ScriptedDialogue(script, interpreter, today), greeting)

    async def close(self) -> None:
        """Nothing to close."""
