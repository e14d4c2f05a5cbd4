"""A language model with tools: runs the tools that it calls, and asks it again with the results until it has answered.

A turn may be interrupted (its reply is closed) while tools run. A call that has not started is dropped. A tool without
side effects is stopped and leaves no trace. A tool with side effects runs on within its own time limit, and its result
is recorded for the next turn. Until then the model reads that the tool still runs, or it would call it again.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from pipeline_worker.engines.protocols import LanguageModel, Reply
from pipeline_worker.tools.batch import Begin, Publish, ToolBatch
from pipeline_worker.tools.toolbox import Toolbox
from pipeline_worker.turns.conversation import Entry, ToolCall, ToolUse, Utterance
from shared.errors import EngineError

Record = Callable[[ToolUse], None]


class LateUses:
    """Uses of tools that outlived their turn, until the conversation holds their results.

    A conversation may be copied before the turn that it interrupts has ended. So it is completed here for each reply:
    servers expect one result for each call, and it must be the newest.
    """

    def __init__(self) -> None:
        self._uses: dict[ToolCall, ToolUse] = {}

    def put(self, use: ToolUse) -> None:
        self._uses[use.call] = use

    def complete(self, conversation: Sequence[Entry]) -> list[Entry]:
        """Adds the missing uses, before the words that are to be answered."""
        known = {id(entry) for entry in conversation}
        self._uses = {call: use for call, use in self._uses.items() if id(use) not in known}
        asked = len(conversation) - isinstance(conversation[-1], Utterance)
        return [*conversation[:asked], *self._uses.values(), *conversation[asked:]]


class ToolLoop:
    """Itself a `LanguageModel`, whose replies hold no tool calls.

    `publish` takes events for the client, `record` entries for the conversation, `begin` calls with side effects. A
    tool may take its time between two pieces of a reply: a guard with a shorter deadline would break it.
    """

    def __init__(
        self,
        lm: LanguageModel,
        toolbox: Toolbox,
        session_id: str,
        publish: Publish,
        record: Record,
        begin: Begin | None = None,
    ) -> None:
        self._lm = lm
        self._toolbox = toolbox
        self._session_id = session_id
        self._publish_to = publish
        self._record_to = record
        self._begin = begin
        self._late = LateUses()
        self._closed = False

    async def reply(
        self, conversation: Sequence[Entry], confirmed: asyncio.Event | None = None
    ) -> AsyncGenerator[Reply, None]:
        """The answer, from as many requests as it takes. No tool is run before `confirmed` is set.

        A model that says nothing, as some do after a tool, is asked once more. Raises `EngineError` if the model fails
        or says nothing at all. A filler is not an answer.
        """
        rules = self._toolbox.rules
        entries = self._late.complete(conversation)
        said = filled = asked_again = False
        for round_ in range(rules.max_rounds + 2):
            text, calls, end_call = "", list[ToolCall](), False
            async with aclosing(self._lm.reply(tuple(entries))) as pieces:
                async for piece in pieces:
                    text += piece.text
                    calls += piece.tool_calls
                    end_call = end_call or piece.end_call
                    if piece.text or piece.end_call:
                        yield piece._replace(tool_calls=())
            said = said or bool(text.strip())
            if not calls:
                if text.strip() or end_call:
                    return
                if asked_again:
                    break
                asked_again = True
                continue
            if text.strip():
                entries.append(Utterance("agent", text.strip()))
                yield Reply("\n")  # Ends the sentence, so that it is spoken while the tools run.
            if round_ >= rules.max_rounds:
                entries += [ToolUse(call, "Not run: too many in this turn. Answer the caller now.") for call in calls]
                continue
            if confirmed is not None:
                await confirmed.wait()
            batch = ToolBatch(self._toolbox, self._session_id, calls, self._publish, self._tell_late, self._begin)
            try:
                if not (said or filled) and batch.filler and not await batch.finish(rules.filler_after_s):
                    filled = True
                    yield Reply(f"{batch.filler}\n")
                await batch.finish()
            except BaseException:
                batch.give_up()
                raise
            for use, _ in batch.outcomes:
                entries.append(use)
                self._record(use)
            outcomes = [outcome for _, outcome in batch.outcomes]
            end_call = any(outcome.end_call for outcome in outcomes)
            if end_call or all(outcome.final for outcome in outcomes):
                say = "" if said else next((outcome.say for outcome in outcomes if outcome.say), "")
                yield Reply(say, end_call)
                return
        if not said:
            raise EngineError("the language model does not answer", code="engine_broken")

    async def close(self) -> None:
        """A tool with side effects may still finish. Its result is then neither published nor recorded."""
        self._closed = True
        await self._lm.close()

    def _publish(self, event_type: str, fields: Mapping[str, Any]) -> None:
        if not self._closed:
            self._publish_to(event_type, fields)

    def _record(self, use: ToolUse) -> None:
        if not self._closed:
            self._record_to(use)

    def _tell_late(self, use: ToolUse, ended: bool) -> None:
        self._late.put(use)
        if ended:
            self._record(use)
