from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import astuple
from typing import Any

import pytest

from pipeline_worker.engines.livekit.language_model import LiveKitLanguageModel, LiveKitLanguageModelProvider
from pipeline_worker.engines.protocols import Entry, Reply, ToolCall, Utterance
from pipeline_worker.turns.conversation import ToolUse
from shared.agent import AgentDefinition
from shared.errors import EngineError

ASKED = [Utterance("user", "Are you open?")]


@pytest.fixture
async def provider() -> AsyncIterator[LiveKitLanguageModelProvider]:
    provider = LiveKitLanguageModelProvider()
    yield provider
    await provider.close()


async def opened(
    provider: LiveKitLanguageModelProvider, tools: Sequence[Any] = (), **arguments: Any
) -> tuple[LiveKitLanguageModel, Any]:
    from livekit.plugins.standin import made  # type: ignore[import-not-found, unused-ignore]

    choice = {"engine": "livekit", "options": {"plugin": "standin", "arguments": arguments}}
    agent = {"id": "desk", "name": "Desk", "instructions": "Be brief.", "tools": tools, "language_model": choice}
    provider.add(AgentDefinition.model_validate(agent))
    await provider.start()
    return provider.open("desk"), made[-1]


async def answer(lm: LiveKitLanguageModel, conversation: Sequence[Entry] = ASKED) -> list[Reply]:
    return [piece async for piece in lm.reply(conversation)]


async def test_the_model_knows_the_conversation(provider: LiveKitLanguageModelProvider) -> None:
    lm, vendor = await opened(provider)
    use = ToolUse(ToolCall("call_7", "look", '{"at": "the clock"}'), "ten")
    await answer(lm, [Utterance("user", "Hello"), Utterance("agent", "Hi,", interrupted=True), *ASKED, use])
    first, *others = [astuple(item) for item in vendor.chat_ctx.items]
    assert first[0] == "system"
    assert first[1].startswith("Be brief.")
    assert others == [
        ("user", "Hello"),
        ("assistant", "Hi,—"),
        ("user", "Are you open?"),
        ("call_7", "look", '{"at": "the clock"}'),
        ("call_7", "look", "ten", False),
    ]


async def test_tools_are_described_and_their_calls_come_at_the_end(provider: LiveKitLanguageModelProvider) -> None:
    lm, _ = await opened(provider, [{"builtin": "end_call"}])
    replies = await answer(lm)
    assert replies[-1] == Reply("", tool_calls=(ToolCall("call_0", "end_call", "{}"),))
    assert [reply.text for reply in replies[:-1]] == ["Let me ", "see."]


async def test_cancelling_ends_the_stream(provider: LiveKitLanguageModelProvider) -> None:
    lm, vendor = await opened(provider)
    async with aclosing(lm.reply(ASKED)) as replies:
        async for _ in replies:
            break
    assert vendor.open_streams == 0


async def test_its_errors_are_translated(provider: LiveKitLanguageModelProvider) -> None:
    lm, vendor = await opened(provider, fault="late")
    with pytest.raises(EngineError) as raised:
        await answer(lm)
    assert raised.value.code == "engine_timeout"
    assert vendor.open_streams == 0
