"""An agent's tools, loaded at start and shared by its sessions."""

import asyncio
import os
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple

import httpx

from pipeline_worker.tools.arguments import ArgumentsSchema
from pipeline_worker.tools.builtin import EndCall, Transfer
from pipeline_worker.tools.function import FunctionTool
from pipeline_worker.tools.outcome import MAX_RESULT_CHARACTERS, Outcome, RunsTool, ToolContext, ToolFailure
from pipeline_worker.tools.threads import LoopThread, Threads
from pipeline_worker.tools.webhook import WebhookTool, new_client
from pipeline_worker.turns.conversation import ToolCall
from shared.agent import AgentDefinition
from shared.agent_tools import Tool, ToolRules
from shared.errors import ConfigError
from shared.io.fault import fault
from shared.io.logs import get_logger

_THREADS = 16
_STOPPING_S = 2.0

log = get_logger()


class _Loaded(NamedTuple):
    definition: Tool
    schema: ArgumentsSchema
    runner: RunsTool


class Toolbox:
    """The tools of one agent. Their tasks belong to `Toolboxes`, because a tool may outlive its turn."""

    def __init__(self, agent: AgentDefinition, tools: Mapping[str, _Loaded], tasks: "set[asyncio.Task[None]]") -> None:
        self.rules: ToolRules = agent.tool_use
        self._agent_id = agent.id
        self._tools = tools
        self._tasks = tasks

    def find(self, name: str) -> Tool | None:
        return self._tools[name].definition if name in self._tools else None

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """`work` must end by itself."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def run(self, call: ToolCall, session_id: str) -> Outcome:
        """Run a tool within its own time limit. Raises nothing: the model gets a description of any failure."""
        loaded = self._tools.get(call.name)
        if loaded is None:
            return Outcome(f"Not run: there is no tool '{call.name[:80]}'.", ok=False)
        try:
            arguments = loaded.schema.read(call.arguments)
        except ToolFailure as failure:
            return Outcome(f"Not run: {failure}.", ok=False)
        try:
            async with asyncio.timeout(loaded.definition.timeout_s):
                outcome = await loaded.runner.run(arguments, ToolContext(session_id, self._agent_id, call.id))
        except ToolFailure as failure:
            return Outcome(_cut(f"Failed: {failure}"), ok=False)
        except TimeoutError:
            doubt = "; it is not known whether it was done" if loaded.definition.side_effects else ""
            return Outcome(f"Failed: no answer in time{doubt}.", ok=False)
        except Exception as error:  # noqa: BLE001 - whatever an operator's function raises, the conversation goes on
            names = {"session_id": session_id, "agent_id": self._agent_id, "tool": call.name}
            log.error("tool_failed", **names, error=fault(error))
            return Outcome("Failed: the tool is out of order.", ok=False)
        return outcome._replace(result=_cut(outcome.result))


class Toolboxes:
    """What the tools of a process share: loaded definitions, one HTTP client, threads, tasks."""

    def __init__(self, agents: Mapping[str, AgentDefinition], environment: Mapping[str, str] = os.environ) -> None:
        self._agents = {id_: agent for id_, agent in agents.items() if agent.mode == "conversation"}
        self._environment = environment
        self._client: httpx.AsyncClient | None = None
        self._coroutines = LoopThread()
        self._boxes: dict[str, Toolbox] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Load every tool. Raises `ConfigError` with agent, tool, field and cure."""
        threads = Threads(_THREADS)
        try:
            for agent in self._agents.values():
                tools = {tool.name: self._load(agent, tool, threads) for tool in agent.tools}
                self._boxes[agent.id] = Toolbox(agent, tools, self._tasks)
        except ConfigError:
            await self.close()
            raise

    def open(self, agent_id: str) -> Toolbox:
        return self._boxes[agent_id]

    async def close(self) -> None:
        """Wait for tools that still run, up to the longest time limit. Idempotent."""
        if self._tasks:
            times = (tool.timeout_s for agent in self._agents.values() for tool in agent.tools)
            await asyncio.wait(self._tasks, timeout=max(times, default=0) + _STOPPING_S)
        self._coroutines.close()
        if self._client is not None:
            await self._client.aclose()

    def _load(self, agent: AgentDefinition, tool: Tool, threads: Threads) -> _Loaded:
        where = f"{agent.place}: tools.{tool.name}"
        try:
            schema = ArgumentsSchema(tool.parameters)
        except ConfigError as error:
            raise ConfigError(f"{where}.parameters: {error.message}") from error
        try:
            return _Loaded(tool, schema, self._runner(tool, threads))
        except ConfigError as error:
            raise ConfigError(f"{where}.{error.message}") from error

    def _runner(self, tool: Tool, threads: Threads) -> RunsTool:
        if tool.webhook is not None:
            self._client = self._client or new_client()
            return WebhookTool(tool, self._client, self._environment)
        if tool.python is not None:
            return FunctionTool(tool, threads, self._coroutines)
        return EndCall(tool) if tool.builtin == "end_call" else Transfer(tool)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_RESULT_CHARACTERS else text[:MAX_RESULT_CHARACTERS] + " ... (the rest was cut off)"
