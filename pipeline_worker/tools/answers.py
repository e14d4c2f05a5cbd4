"""The answers of a session's language model, with its tools if it has any."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from pipeline_worker.engines.protocols import LanguageModel, Reply
from pipeline_worker.tools.batch import Publish
from pipeline_worker.tools.loop import Record, ToolLoop
from pipeline_worker.tools.toolbox import Toolbox
from pipeline_worker.turns.conversation import Entry, ToolCall, ToolUse


class Answers:
    """Knows what of the use of tools would be lost with this worker.

    `save` writes down which tools have begun. A tool with side effects waits for it, or another worker would run it
    again."""

    def __init__(
        self,
        lm: LanguageModel,
        toolbox: Toolbox | None,
        session_id: str,
        publish: Publish,
        record: Record,
        save: Callable[[], Awaitable[None]],
    ) -> None:
        self._publish_to = publish
        self._record_to = record
        self._save = save
        self._lm = lm
        self._tools = (
            ToolLoop(lm, toolbox, session_id, self._publish, self._record, self._begin) if toolbox is not None else None
        )
        self._begun: dict[ToolCall, None] = {}
        self._running = 0
        self.wait_for_tools = False
        """The caller waits for the results of tools, or for what the model says to them."""

    @property
    def begun(self) -> tuple[ToolCall, ...]:
        """Calls with side effects that have begun, and whose results are not recorded."""
        return tuple(self._begun)

    def reply(self, conversation: Sequence[Entry], confirmed: asyncio.Event) -> AsyncGenerator[Reply, None]:
        """No tool is run before `confirmed` is set."""
        return (
            self._lm.reply(conversation) if self._tools is None else self._reply(self._tools, conversation, confirmed)
        )

    async def close(self) -> None:
        await (self._tools or self._lm).close()

    async def _reply(
        self, tools: ToolLoop, conversation: Sequence[Entry], confirmed: asyncio.Event
    ) -> AsyncGenerator[Reply, None]:
        self.wait_for_tools = False
        async with aclosing(tools.reply(conversation, confirmed)) as replies:
            async for reply in replies:
                if reply.text.strip():
                    self.wait_for_tools = self._running > 0  # a filler does not end the wait
                yield reply

    async def _begin(self, call: ToolCall) -> None:
        self._begun[call] = None
        await self._save()

    def _publish(self, event_type: str, fields: Mapping[str, Any]) -> None:
        if event_type == "tool-call":
            self._running += 1
            self.wait_for_tools = True
        elif event_type == "tool-result":
            self._running -= 1
        self._publish_to(event_type, fields)

    def _record(self, use: ToolUse) -> None:
        self._begun.pop(use.call, None)
        self._record_to(use)
