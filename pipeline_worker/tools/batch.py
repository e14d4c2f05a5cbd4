"""The tools that a model calls at once. A bounded number of them run concurrently."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from prometheus_client import Counter

from pipeline_worker.tools.outcome import Outcome
from pipeline_worker.tools.toolbox import Toolbox
from pipeline_worker.turns.conversation import ToolCall, ToolUse
from shared.client_events import ToolCallEvent, ToolResultEvent
from shared.io.logs import get_logger

_AT_ONCE = 4
_MAX_CALLS = 16
_VISIBLE_CHARACTERS = 4_000
_KEPT_CHARACTERS = 8_000
"""Limit for arguments in the conversation, which keeps them for the whole session."""
_NAME_CHARACTERS = 64
_STILL_RUNNING = Outcome("Still running; the result follows later. Do not call it again.")
_STOPPED = Outcome("Failed: the tool stopped itself.", ok=False)

_uses = Counter("antiphon_pipeline_tool_uses_total", "Uses of tools, by how they ended", ["how"])

log = get_logger()

Publish = Callable[[str, Mapping[str, Any]], None]
Begin = Callable[[ToolCall], Awaitable[None]]
"""Takes a call with side effects before it runs, and may wait until it is written down."""
TellLate = Callable[[ToolUse, bool], None]
"""Takes a tool use whose turn was given up, and whether it has ended."""


class _Run:
    """One call. `outcome` is set when it has ended."""

    def __init__(self, call: ToolCall, has_side_effects: bool) -> None:
        self.call = call
        self.has_side_effects = has_side_effects
        self.begun = False
        self.outcome: Outcome | None = None


class ToolBatch:
    """Runs `calls` at once. If the results are no longer needed, call `give_up`.

    Then `tell_late` gets each use that has side effects: its result, or first that it is still running.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        session_id: str,
        calls: Sequence[ToolCall],
        publish: Publish,
        tell_late: TellLate,
        begin: Begin | None = None,
    ) -> None:
        self._toolbox = toolbox
        self._session_id = session_id
        self._publish = publish
        self._tell_late = tell_late
        self._begin = begin
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._given_up = False
        self._runs = [_Run(call, self._has_side_effects(call)) for call in calls]
        self._tasks = [toolbox.spawn(self._run(run)) for run in self._runs[:_MAX_CALLS]]
        for run in self._runs[_MAX_CALLS:]:
            run.outcome = Outcome(f"Not run: no more than {_MAX_CALLS} at once.", ok=False)

    @property
    def filler(self) -> str | None:
        """What to say if it takes long: the first filler of a called tool, else the agent's."""
        own = (tool.filler for run in self._runs if (tool := self._toolbox.find(run.call.name)) is not None)
        return next((filler for filler in own if filler), self._toolbox.rules.filler)

    async def finish(self, within_s: float | None = None) -> bool:
        """Wait for all, at most `within_s`. Returns whether all have ended."""
        _, running = await asyncio.wait(self._tasks, timeout=within_s)
        return not running

    @property
    def outcomes(self) -> list[tuple[ToolUse, Outcome]]:
        """The results, in the order of the calls. Valid when all have ended."""
        outcomes = [run.outcome or _STOPPED for run in self._runs]
        return [(_use(run.call, outcome), outcome) for run, outcome in zip(self._runs, outcomes, strict=True)]

    def give_up(self) -> None:
        """Cancel the calls, except those with side effects that have begun."""
        self._given_up = True
        for run, task in zip(self._runs, self._tasks, strict=False):
            if run.has_side_effects and run.begun:
                self._late(run)
            else:
                task.cancel()

    def _has_side_effects(self, call: ToolCall) -> bool:
        tool = self._toolbox.find(call.name)
        return tool is not None and tool.side_effects

    async def _run(self, run: _Run) -> None:
        async with self._places:
            run.begun = True
            call_id, name = run.call.id[:_NAME_CHARACTERS], run.call.name[:_NAME_CHARACTERS]
            begun: ToolCallEvent = {"id": call_id, "name": name}
            if (arguments := self._visible_arguments(run.call)) is not None:
                begun["arguments"] = arguments
            self._publish("tool-call", begun)
            started = asyncio.get_running_loop().time()
            how = "cancelled"
            outcome = _STOPPED
            try:
                if run.has_side_effects and self._begin is not None:
                    await self._begin(_use(run.call, _STILL_RUNNING).call)
                outcome = await self._toolbox.run(run.call, self._session_id)
                how = "ok" if outcome.ok else "failed"
            finally:
                run.outcome = outcome
                duration_ms = round((asyncio.get_running_loop().time() - started) * 1000)
                _uses.labels(how).inc()
                log.info("tool_used", session_id=self._session_id, tool=name, how=how, duration_ms=duration_ms)
                result: ToolResultEvent = {"id": call_id, "name": name, "ok": how == "ok", "durationMs": duration_ms}
                self._publish("tool-result", result)
                if self._given_up and run.has_side_effects:
                    self._late(run)
            if outcome.event is not None:
                self._publish(*outcome.event)

    def _late(self, run: _Run) -> None:
        self._tell_late(_use(run.call, run.outcome or _STILL_RUNNING), run.outcome is not None)

    def _visible_arguments(self, call: ToolCall) -> dict[str, Any] | None:
        """None if clients may not see them, or if they are not valid."""
        if not self._toolbox.rules.visible or len(call.arguments) > _VISIBLE_CHARACTERS:
            return None
        try:
            arguments = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            return None
        return arguments if isinstance(arguments, dict) else None


def _use(call: ToolCall, outcome: Outcome) -> ToolUse:
    return ToolUse(call if len(call.arguments) <= _KEPT_CHARACTERS else call._replace(arguments="{}"), outcome.result)
