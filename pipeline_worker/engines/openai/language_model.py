"""A language model behind a server of OpenAI's chat completions."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from pydantic import Field

from pipeline_worker.engines.network.errors import broken
from pipeline_worker.engines.openai.client import OpenAiClient, read_rest
from pipeline_worker.engines.openai.messages import ToolCallDrafts, chat_messages
from pipeline_worker.engines.openai.provider import OPENAI_URL, OpenAiOptions, OpenAiProvider
from pipeline_worker.engines.protocols import Entry, Reply
from pipeline_worker.turns.conversation import ToolUse
from shared.agent import AgentDefinition

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LmOptions(OpenAiOptions):
    instructions: str | None = Field(None, max_length=50_000, description="in place of the agent's")
    temperature: float | None = Field(None, ge=0, le=2)
    max_output_tokens: int | None = Field(None, ge=1, le=100_000)
    max_history: int = Field(200, ge=2, le=200, description="newest entries of the conversation that are sent")


class OpenAiLanguageModel:
    """Keeps nothing between turns: each request has the conversation."""

    def __init__(self, client: OpenAiClient, options: LmOptions, agent: AgentDefinition) -> None:
        self._client = client
        self._options = options
        self._instructions = agent.instructions if options.instructions is None else options.instructions
        self._request = {"model": options.model, "stream": True, **_parameters(options, agent)}

    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        """Text as it comes, then the tool calls all at once."""
        messages = chat_messages(self._instructions, conversation[-self._options.max_history :])
        drafts = ToolCallDrafts()
        said, finish_reason = False, None
        client, options = self._client, self._options
        async with client.http.post(
            "/chat/completions",
            json={**self._request, "messages": messages},
            headers=options.extra_headers,
            silence_s=options.timeout_s,
        ) as answer:
            with client.shape_explained():
                async with aclosing(client.events(answer)) as chunks:
                    async for chunk in chunks:
                        for choice in (chunk.get("choices") or ())[:1]:
                            delta = choice.get("delta") or {}
                            drafts.add(delta.get("tool_calls") or ())
                            finish_reason = choice.get("finish_reason")
                            if text := delta.get("content") or delta.get("refusal"):
                                said = True
                                yield Reply(_checked(text))
                        if finish_reason:
                            break
                    await read_rest(chunks)
                calls = drafts.finish(len(conversation))
        if not finish_reason:
            raise broken(self._client.account.vendor, "an answer that ends in the middle")
        if calls:
            yield Reply("", tool_calls=calls)
        elif not said and not isinstance(conversation[-1], ToolUse):
            raise broken(self._client.account.vendor, f"an empty answer ({finish_reason})")

    async def close(self) -> None:
        """The connections belong to the provider."""


class OpenAiLanguageModelProvider(OpenAiProvider[LmOptions, OpenAiLanguageModel]):
    def __init__(self) -> None:
        super().__init__("language_model", LmOptions, OpenAiLanguageModel)


def _parameters(options: LmOptions, agent: AgentDefinition) -> dict[str, Any]:
    """Only the configured parameters: many models refuse unknown ones."""
    parameters: dict[str, Any] = {}
    if options.temperature is not None:
        parameters["temperature"] = options.temperature
    if options.max_output_tokens is not None:
        # OpenAI's newer models refuse the old name, and other servers do not know the new one.
        name = "max_completion_tokens" if options.base_url.rstrip("/") == OPENAI_URL else "max_tokens"
        parameters[name] = options.max_output_tokens
    if agent.tools:
        parameters["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in agent.tools
        ]
    return {**parameters, **options.extra_body}


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError("a piece of text that is not a string")
    if text.isprintable():
        return text
    # Half of a surrogate pair, whose rest may be in another piece, cannot be encoded.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub("", whole)
