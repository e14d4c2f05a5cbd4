"""A language model that answers with tone words, other ones each time, or with a text; its first after a fixed time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from pydantic import Field

from pipeline_worker.engines.options import Options, read_options
from pipeline_worker.engines.protocols import Entry, Reply
from shared.agent import AgentDefinition
from tests.load.tone_words import name

_WORDS_PER_SENTENCE = 4


class FixedLmOptions(Options):
    first_token_ms: int = Field(250, ge=0)
    words: int = Field(4, ge=1, le=60, description="of each reply")
    text: str = Field("", description="said every time instead")


class _LanguageModel:
    """Replies differ, so that a word in the wrong place shows from which one it came."""

    def __init__(self, options: FixedLmOptions) -> None:
        self._options = options
        self._next = 0

    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        words = self._options.text.split() or self._tone_words()
        await asyncio.sleep(self._options.first_token_ms / 1000)
        for word in words:
            yield Reply(f"{word} ")

    def _tone_words(self) -> list[str]:
        first, count = self._next, self._options.words
        self._next += count
        marked = [index + 1 == count or (index + 1) % _WORDS_PER_SENTENCE == 0 for index in range(count)]
        return [name(first + index) + "." * ends for index, ends in enumerate(marked)]

    async def close(self) -> None:
        """Nothing to close."""


class FixedLanguageModelProvider:
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
