"""What a tool is given, and what comes of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class ToolContext(NamedTuple):
    """Who uses a tool: Python functions with a parameter `context` get it."""

    session_id: str
    agent_id: str
    call_id: str


class Outcome(NamedTuple):
    """`result` is for the model. `event` (type and fields) is for the client."""

    result: str
    ok: bool = True
    final: bool = False
    """The turn ends with it: the model is not asked again."""
    say: str = ""
    """Spoken if nothing was said in the turn yet."""
    end_call: bool = False
    event: tuple[str, dict[str, Any]] | None = None


class ToolFailure(Exception):
    """A tool could not do it. The text is for the model, which can try again, or tell the caller."""


class RunsTool(Protocol):
    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        """Raises `ToolFailure`, or anything: what it raises ends no session."""
        ...
