"""A language model that answers with tone words, other ones each time, its first after a fixed time."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from pydantic import Field

from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import Entry, Reply
from shared.agent import AgentDefinition
from tests.load.tone_words import name

_WORDS_PER_SENTENCE = 4


class FixedLmOptions(Options):
    first_token_ms: int = Field(250, ge=0)
    words: int = Field(4, ge=1, le=60, description="of each reply")


class _LanguageModel:
    """Replies differ, so that a word in the wrong place shows from which one it came."""

    def __init__(self, options: FixedLmOptions) -> None:
        self._options = options
        self._next = 0

    async def reply(self, conversation: Sequence[Entry]) -> AsyncIterator[Reply]:
        first = self._next
        self._next += self._options.words
        await asyncio.sleep(self._options.first_token_ms / 1000)
        for index in range(self._options.words):
            last = index + 1 == self._options.words
            mark = "." if last or (index + 1) % _WORDS_PER_SENTENCE == 0 else ""
            yield Reply(f"{name(first + index)}{mark} ")

    async def close(self) -> None:
        """There is nothing to close."""


class Provider:
    def __init__(self) -> None:
        self._options: dict[str, FixedLmOptions] = {}

    def add(self, agent: AgentDefinition) -> None:
        self._options[agent.id] = read_options(agent, "language_model", FixedLmOptions)

    async def start(self) -> None:
        """Nothing to load."""

    def open(self, agent_id: str) -> _LanguageModel:
        return _LanguageModel(self._options[agent_id])

    async def close(self) -> None:
        """Nothing to close."""
