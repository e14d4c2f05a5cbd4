"""A language model that answers every text with a call of a tool, such as no honest model would write."""

import json
from collections.abc import AsyncGenerator, Sequence

from pipeline_worker.engines.protocols import Entry, Reply
from pipeline_worker.turns.conversation import ToolCall
from shared.agent import AgentDefinition

ESCAPES = "\x1b[2J\x1b]0;yours\x07\r\x9b31m\u202e"
"""Clears the terminal, sets its title, overwrites the line, changes the colour, and reverses the text."""
TOOL = "book"
PATTERN = "^(a+)+$"
"""A backtracking engine needs longer than the universe for the arguments below."""
_ARGUMENTS = json.dumps({"code": 32_000 * "a" + "!"})


class _LanguageModel:
    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        yield Reply("", tool_calls=(ToolCall("1", f"{ESCAPES}{TOOL}", "{}"), ToolCall("2", TOOL, _ARGUMENTS)))

    async def close(self) -> None:
        """Nothing to close."""


class RogueLanguageModelProvider:
    def add(self, agent: AgentDefinition) -> None:
        """It has no options."""

    async def start(self) -> None:
        """Nothing to load."""

    def open(self, agent_id: str) -> _LanguageModel:
        return _LanguageModel()

    async def close(self) -> None:
        """Nothing to close."""


def book(code: str) -> str:
    """The tool. Its schema admits no argument that the model writes."""
    return code
