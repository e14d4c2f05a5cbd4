"""Built-in tools: ending the call, and asking the client to transfer it."""

from collections.abc import Mapping
from typing import Any

from pipeline_worker.tools.outcome import Outcome, ToolContext, ToolFailure
from shared.agent_tools import Tool
from shared.client_events import TransferEvent

_REASON_CHARACTERS = 500


class EndCall:
    def __init__(self, tool: Tool) -> None:
        self._say = tool.say or ""

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        return Outcome("The call ends.", final=True, say=self._say, end_call=True)


class Transfer:
    """Sends the destination to the client, which connects the caller."""

    def __init__(self, tool: Tool) -> None:
        self._destinations = tool.destinations
        self._say = tool.say or ""

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        destination = arguments.get("destination")
        if not isinstance(destination, str) or destination not in self._destinations:
            raise ToolFailure(f"no such destination: choose one of {', '.join(self._destinations)}")
        fields: TransferEvent = {
            "destination": destination,
            "uri": self._destinations[destination],
            "reason": str(arguments.get("reason", ""))[:_REASON_CHARACTERS],
        }
        result = f"The caller is being transferred to {destination}."
        return Outcome(result, final=bool(self._say), say=self._say, event=("transfer", fields))
