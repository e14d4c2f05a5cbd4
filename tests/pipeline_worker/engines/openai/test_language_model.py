import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from pipeline_worker.engines.network.account import VendorAccount
from pipeline_worker.engines.openai.client import share
from pipeline_worker.engines.openai.language_model import LmOptions, OpenAiLanguageModel, OpenAiLanguageModelProvider
from pipeline_worker.engines.openai.provider import OPENAI_URL
from pipeline_worker.engines.protocols import Entry, Reply, ToolCall, Utterance
from pipeline_worker.turns.conversation import ToolUse
from shared.errors import EngineError
from tests.fakes.openai_agents import openai_agent
from tests.fakes.openai_server import Fault, OpenAiServer

ASKED = [Utterance("user", "Are you open?")]
END_CALL = {"builtin": "end_call"}


@pytest.fixture
async def provider() -> AsyncIterator[OpenAiLanguageModelProvider]:
    provider = OpenAiLanguageModelProvider()
    yield provider
    await provider.close()


async def opened(
    provider: OpenAiLanguageModelProvider, server: OpenAiServer, agent: dict[str, Any] | None = None, **options: Any
) -> OpenAiLanguageModel:
    provider.add(openai_agent("language_model", server.base_url, agent, **options))
    await provider.start()
    return provider.open((agent or {}).get("id", "desk"))


async def answer(lm: OpenAiLanguageModel, conversation: Sequence[Entry] = ASKED) -> list[Reply]:
    return [piece async for piece in lm.reply(conversation)]


async def test_text_comes_in_the_pieces_the_model_makes(
    provider: OpenAiLanguageModelProvider, server: OpenAiServer
) -> None:
    lm = await opened(provider, server, {"instructions": "You are a waiter."})
    assert [piece.text for piece in await answer(lm)][:3] == ["Certainly, ", "I ", "can "]
    asked = server.asked("/chat/completions")[0].json
    assert set(asked) == {"model", "stream", "messages"}
    assert (asked["model"], asked["stream"]) == ("m", True)
    assert asked["messages"][0]["content"].startswith("You are a waiter.")
    assert asked["messages"][1:] == [{"role": "user", "content": "Are you open?"}]
    await lm.close()


async def test_options_are_sent_and_those_of_the_server_win(
    provider: OpenAiLanguageModelProvider, server: OpenAiServer
) -> None:
    lm = await opened(
        provider,
        server,
        instructions="Only mine.",
        temperature=0.3,
        max_output_tokens=200,
        max_history=2,
        extra_headers={"X-Title": "Desk"},
        extra_body={"reasoning_effort": "none", "temperature": 0.5},
    )
    await answer(lm, [Utterance("user", "One"), Utterance("agent", "Two"), Utterance("user", "Three")])
    request = server.asked("/chat/completions")[0]
    assert request.headers["x-title"] == "Desk"
    assert request.json["temperature"] == 0.5
    assert request.json["max_tokens"] == 200
    assert request.json["reasoning_effort"] == "none"
    contents = [message["content"] for message in request.json["messages"]]
    assert contents[0].startswith("Only mine.")
    assert contents[1:] == ["(The call is connected.)", "Two", "Three"]


async def test_openai_itself_has_another_name_for_the_answers_limit(server: OpenAiServer) -> None:
    client = share(VendorAccount("acme", server.base_url, ""))
    options = LmOptions(model="m", max_output_tokens=200)
    assert options.base_url == OPENAI_URL  # and yet the client's connections lead to the loopback server
    await answer(OpenAiLanguageModel(client, options, openai_agent("language_model", OPENAI_URL)))
    assert server.requests[0].json["max_completion_tokens"] == 200
    await client.close()


async def test_tools_are_offered_and_their_calls_come_last(
    provider: OpenAiLanguageModelProvider, server: OpenAiServer
) -> None:
    lm = await opened(provider, server, {"tools": [END_CALL]})
    server.manner.tool_calls = [("end_call", '{"reason": "done"}'), ("end_call", "{}")]
    (reply,) = await answer(lm)
    assert reply.text == ""
    assert reply.tool_calls == (
        ToolCall("call_end_call_0", "end_call", '{"reason": "done"}'),
        ToolCall("call_end_call_1", "end_call", "{}"),
    )
    (tool,) = server.asked("/chat/completions")[0].json["tools"]
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "end_call"
    assert tool["function"]["parameters"]["type"] == "object"
    done = await answer(lm, [*ASKED, ToolUse(reply.tool_calls[0], "ok")])
    assert done[0].text == "Certainly, "


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (Fault("malformed", after=2), "engine_broken", 2),
        (Fault("end", after=2), "engine_broken", 2),
        (Fault("error_event", after=1), "engine_unavailable", 1),
        (Fault("error_event", after=1, code="rate_limit_exceeded"), "engine_busy", 1),
        (Fault("error_event", after=1, code=400), "engine_refused", 1),
        (Fault("stall", after=1), "engine_timeout", 1),
    ],
)
async def test_a_failure_is_raised_after_the_output_so_far_and_the_next_turn_works(
    provider: OpenAiLanguageModelProvider, server: OpenAiServer, fault: Fault, code: str, said: int
) -> None:
    lm = await opened(provider, server)
    hasty = await opened(provider, server, {"id": "hasty"}, timeout_s=0.2)
    server.faults.append(fault)
    pieces = []
    with pytest.raises(EngineError) as raised:
        async for piece in (hasty if fault.kind == "stall" else lm).reply(ASKED):
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts
    assert (raised.value.code, len(pieces)) == (code, said)
    assert len(await answer(lm)) == 7


async def test_an_empty_answer_is_an_error_except_after_a_tool(
    provider: OpenAiLanguageModelProvider, server: OpenAiServer
) -> None:
    lm = await opened(provider, server)
    server.manner.reply = ""
    with pytest.raises(EngineError, match=r"an empty answer \(stop\)") as raised:
        await answer(lm)
    assert raised.value.code == "engine_broken"
    assert await answer(lm, [*ASKED, ToolUse(ToolCall("1", "end_call", "{}"), "ok")]) == []


async def test_a_whole_answer_does_not_wait_for_the_end_of_the_stream(
    provider: OpenAiLanguageModelProvider, server: OpenAiServer
) -> None:
    lm = await opened(provider, server)
    server.faults.append(Fault("stall", after=8))  # before [DONE]
    async with asyncio.timeout(5):
        assert len(await answer(lm)) == 7
    await server.until(lambda: server.disconnects == 1)


async def test_half_a_character_and_control_characters_are_not_passed_on(
    provider: OpenAiLanguageModelProvider, server: OpenAiServer
) -> None:
    server.manner.reply = "Fine \ud83d and \x07well.\nReally."
    lm = await opened(provider, server)
    text = "".join(piece.text for piece in await answer(lm))
    assert text == "Fine \ufffd and well.\nReally."
    await lm.close()
