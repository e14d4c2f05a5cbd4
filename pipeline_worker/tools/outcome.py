"""What a tool gets, and its result."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

MAX_RESULT_CHARACTERS = 8_000


class ToolContext(NamedTuple):
    """The session and agent that use a tool. Python functions with a parameter `context` get it."""

    session_id: str
    agent_id: str
    call_id: str


class Outcome(NamedTuple):
    """`result` is for the model. `event` (type and fields) is for the client."""

    result: str
    ok: bool = True
    final: bool = False
    """The turn ends after it: the model is not asked again."""
    say: str = ""
    """Spoken if nothing was said in this turn."""
    end_call: bool = False
    event: tuple[str, Mapping[str, Any]] | None = None


class ToolFailure(Exception):
    """A tool failed. The text is for the model, which can retry or inform the caller."""


class RunsTool(Protocol):
    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        """May raise anything, preferably `ToolFailure`; it does not end the session."""
        ...
