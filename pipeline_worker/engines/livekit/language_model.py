"""A language model by any LiveKit plugin."""

from collections.abc import AsyncGenerator, Sequence
from importlib import import_module
from typing import Any

from pipeline_worker.engines.livekit.plugin import LiveKitPlugins, connect_options, translated_errors
from pipeline_worker.engines.openai.messages import chat_messages
from pipeline_worker.engines.protocols import Entry, Reply, ToolCall
from shared.agent import AgentDefinition
from shared.agent_tools import Tool


class LiveKitLanguageModel:
    """Keeps nothing between turns. The plugin's object belongs to the provider."""

    def __init__(self, llm: Any, vendor: str, agent: AgentDefinition) -> None:
        self._llm = llm
        self._vendor = vendor
        self._instructions = agent.instructions
        self._tools = [_tool(tool) for tool in agent.tools]

    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        """Text as it comes, then the tool calls all at once."""
        calls: list[ToolCall] = []
        with translated_errors(self._vendor):
            async with self._llm.chat(
                chat_ctx=_context(self._instructions, conversation), tools=self._tools, conn_options=connect_options()
            ) as chunks:
                async for chunk in chunks:
                    if chunk.delta is None:
                        continue
                    calls += [ToolCall(call.call_id, call.name, call.arguments) for call in chunk.delta.tool_calls]
                    if chunk.delta.content:
                        yield Reply(chunk.delta.content)
        if calls:
            yield Reply("", tool_calls=tuple(calls))

    async def close(self) -> None:
        """Closed with its provider."""


class LiveKitLanguageModelProvider(LiveKitPlugins):
    def __init__(self) -> None:
        super().__init__("language_model", "LLM")

    def open(self, agent_id: str) -> LiveKitLanguageModel:
        agent, options, _ = self._wanted[agent_id]
        return LiveKitLanguageModel(self.get(agent_id), options.plugin, agent)


def _context(instructions: str, conversation: Sequence[Entry]) -> Any:
    """The conversation as the framework represents it."""
    llm = import_module("livekit.agents.llm")
    context = llm.ChatContext.empty()
    names: dict[str, str] = {}
    for message in chat_messages(instructions, conversation):
        if message["role"] == "tool":
            call_id = message["tool_call_id"]
            context.items.append(
                llm.FunctionCallOutput(call_id=call_id, name=names[call_id], output=message["content"], is_error=False)
            )
            continue
        if message.get("content"):
            context.add_message(role=message["role"], content=message["content"])
        for call in message.get("tool_calls", ()):
            names[call["id"]] = call["function"]["name"]
            context.items.append(llm.FunctionCall(call_id=call["id"], **call["function"]))
    return context


def _tool(tool: Tool) -> Any:
    """The plugin only describes the tool to the model; the worker runs it."""

    async def not_run_here(raw_arguments: dict[str, object]) -> None:
        raise NotImplementedError(tool.name)

    schema = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return import_module("livekit.agents.llm").function_tool(not_run_here, raw_schema=schema)
