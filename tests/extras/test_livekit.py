"""LiveKit's own packages: the plugins for OpenAI and Deepgram against our loopback servers of those vendors."""

import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from pipeline_worker.engines.livekit import language_model as livekit_lm
from pipeline_worker.engines.livekit import speech_to_text as livekit_stt
from pipeline_worker.engines.livekit import text_to_speech as livekit_tts
from pipeline_worker.engines.protocols import Reply, Transcript
from pipeline_worker.turns.conversation import ToolCall, ToolUse, Utterance
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from tests.extras.agents import agent_with
from tests.fakes.deepgram_server import DeepgramListenServer
from tests.fakes.openai_server import Fault, OpenAiServer, running_openai_server
from tests.fakes.vendor_server import KEY

SOUND = (np.arange(32_000) % 4_000).astype(np.int16)
TOOL = {
    "name": "book_table",
    "description": "Books a table.",
    "parameters": {"type": "object", "properties": {"guests": {"type": "integer"}}, "required": ["guests"]},
    "webhook": {"url": "http://127.0.0.1:9/book"},
}


class ListenServer(DeepgramListenServer):
    """Whatever the query: the plugin asks for more than our own engine does."""

    def admit(self, connection: ServerConnection, handshake: Request) -> Response | None:
        refused = handshake.headers.get("Authorization") != f"Token {KEY}"
        return connection.respond(401, "{}") if refused else None


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)


@pytest.fixture
async def openai_server() -> AsyncIterator[OpenAiServer]:
    async with running_openai_server(reply="Certainly, I can.", transcripts=("a table for four",)) as server:
        yield server


@pytest.fixture
async def deepgram_server() -> AsyncIterator[ListenServer]:
    server = ListenServer("a table for four please")
    async with serve(server.serve, "127.0.0.1", 0, process_request=server.admit, close_timeout=1) as listener:
        server.base_url = "http://{}:{}/v1/listen".format(*next(iter(listener.sockets)).getsockname())
        yield server


async def started(provider: Any, agent: AgentDefinition) -> Any:
    provider.add(agent)
    await provider.start()
    return provider.open(agent.id)


async def answered(server: OpenAiServer, conversation: list[Any], **agent: Any) -> list[Reply]:
    provider = livekit_lm.LiveKitLanguageModelProvider()
    definition = agent_with("language_model", "livekit", plugin="openai", arguments={"base_url": server.base_url})
    try:
        lm = await started(provider, AgentDefinition.model_validate(definition.model_dump() | agent))
        return [piece async for piece in lm.reply(conversation)]
    finally:
        await provider.close()


async def test_a_language_model_answers(openai_server: OpenAiServer) -> None:
    replies = await answered(openai_server, [Utterance("agent", "Hello!"), Utterance("user", "Are you open?")])
    assert "".join(reply.text for reply in replies) == "Certainly, I can."
    messages = openai_server.asked("/chat/completions")[0].json["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert str(messages[0]["content"]).count("Be brief.") == 1


async def test_a_language_model_uses_tools(openai_server: OpenAiServer) -> None:
    openai_server.manner.tool_calls = [("book_table", '{"guests": 4}')]
    replies = await answered(openai_server, [Utterance("user", "A table for four.")], tools=[TOOL])
    [call] = replies[-1].tool_calls
    assert (call.name, call.arguments) == ("book_table", '{"guests": 4}')
    [tool] = openai_server.asked("/chat/completions")[0].json["tools"]
    assert tool["function"]["parameters"]["properties"] == {"guests": {"type": "integer"}}


async def test_the_model_gets_the_result_of_a_tool(openai_server: OpenAiServer) -> None:
    use = ToolUse(ToolCall("call_1", "book_table", '{"guests": 4}'), "booked")
    await answered(openai_server, [Utterance("user", "A table for four."), use], tools=[TOOL])
    messages = openai_server.asked("/chat/completions")[0].json["messages"]
    assert messages[-1] == {"role": "tool", "tool_call_id": "call_1", "content": "booked"}
    assert messages[-2]["tool_calls"][0]["function"]["name"] == "book_table"


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "engine_key_refused"), (429, "engine_busy"), (503, "engine_unavailable"), (404, "engine_refused")],
)
async def test_a_vendors_refusal_is_an_error_with_our_code(openai_server: OpenAiServer, status: int, code: str) -> None:
    openai_server.faults.append(Fault("status", status=status))
    with pytest.raises(EngineError) as raised:
        await answered(openai_server, [Utterance("user", "Hello?")])
    assert raised.value.code == code
    assert "a-key" not in raised.value.message


async def test_a_vendor_out_of_reach_is_an_error(openai_server: OpenAiServer) -> None:
    openai_server.stop_listening()
    with pytest.raises(EngineError) as raised:
        await answered(openai_server, [Utterance("user", "Hello?")])
    assert raised.value.code == "engine_unavailable"


async def test_a_reply_can_be_abandoned(openai_server: OpenAiServer) -> None:
    openai_server.manner.reply = "word " * 500
    openai_server.manner.tokens_per_s = 50
    provider = livekit_lm.LiveKitLanguageModelProvider()
    arguments = {"base_url": openai_server.base_url}
    try:
        lm = await started(provider, agent_with("language_model", "livekit", plugin="openai", arguments=arguments))
        async with aclosing(lm.reply([Utterance("user", "A story.")])) as replies:
            async for _ in replies:
                break
        await openai_server.until(lambda: openai_server.active == 0)
    finally:
        await provider.close()


async def test_speech_is_made(openai_server: OpenAiServer) -> None:
    provider = livekit_tts.LiveKitTextToSpeechProvider()
    arguments = {"base_url": openai_server.base_url, "model": "tts-1", "response_format": "pcm"}
    try:
        tts = await started(provider, agent_with("text_to_speech", "livekit", plugin="openai", arguments=arguments))
        pieces = [piece async for piece in tts.speak("Good evening, what can I do for you?")]
    finally:
        await provider.close()
    assert tts.sample_rate == 24_000
    assert sum(len(piece.samples) for piece in pieces) > 24_000
    assert max(abs(pieces[0].samples.astype(int))) > 5_000


async def test_a_recogniser_that_does_not_stream_hears_the_whole_utterance(openai_server: OpenAiServer) -> None:
    provider = livekit_stt.LiveKitSpeechToTextProvider()
    arguments = {"base_url": openai_server.base_url, "model": "whisper-1"}
    try:
        stt = await started(provider, agent_with("speech_to_text", "livekit", plugin="openai", arguments=arguments))
        stream = stt.open()
        assert await stream.push(SOUND) is None
        assert await stream.finish() == Transcript("a table for four", True)
    finally:
        await provider.close()


async def test_a_recogniser_that_streams(deepgram_server: ListenServer) -> None:
    provider = livekit_stt.LiveKitSpeechToTextProvider()
    arguments = {"base_url": deepgram_server.base_url}
    try:
        stt = await started(provider, agent_with("speech_to_text", "livekit", plugin="deepgram", arguments=arguments))
        stream = stt.open()
        for begin in range(0, len(SOUND), 1_600):
            await stream.push(SOUND[begin : begin + 1_600])
        await deepgram_server.until(lambda: deepgram_server.open_connections == 1)
        assert await stream.finish() == Transcript("a table for four please", True)
        another = stt.open()
        await another.push(SOUND)
        await another.cancel()
        await deepgram_server.until(lambda: deepgram_server.open_connections == 0)
    finally:
        await provider.close()
    assert np.frombuffer(deepgram_server.heard[0], "<i2")[:1_000].tolist() == SOUND[:1_000].tolist()


async def test_a_refused_key_of_a_stream_is_an_error(
    deepgram_server: ListenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "another")
    provider = livekit_stt.LiveKitSpeechToTextProvider()
    arguments = {"base_url": deepgram_server.base_url}
    try:
        stt = await started(provider, agent_with("speech_to_text", "livekit", plugin="deepgram", arguments=arguments))
        stream = stt.open()
        await stream.push(SOUND)
        with pytest.raises(EngineError) as raised:
            await stream.finish()
    finally:
        await provider.close()
    assert raised.value.code == "engine_key_refused"


async def test_a_missing_key_is_an_error_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    provider = livekit_stt.LiveKitSpeechToTextProvider()
    provider.add(agent_with("speech_to_text", "livekit", plugin="deepgram"))
    with pytest.raises(ConfigError, match=r"agent 'desk': speech_to_text\.options\.arguments: .*DEEPGRAM_API_KEY"):
        await provider.start()
    await provider.close()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"plugin": "no_such_vendor"}, r"options\.plugin: .*pip install .* 'livekit-plugins-no-such-vendor==1\."),
        ({"plugin": "openai", "class": "Nothing"}, r"options\.class: .*has no STT named 'Nothing'"),
        ({"plugin": "openai", "class": "LLM"}, r"options\.class"),
        ({"plugin": "openai", "arguments": {"colour": 1}}, r"options\.arguments: openai does not take them"),
        ({"plugin": "openai", "arguments": {"api_key": "s"}}, r"options\.arguments: 'api_key' looks like a secret"),
    ],
)
async def test_options_are_checked(options: dict[str, Any], field: str) -> None:
    provider = livekit_stt.LiveKitSpeechToTextProvider()
    with pytest.raises(ConfigError, match=rf"agent 'desk': speech_to_text\.{field}"):
        await started(provider, agent_with("speech_to_text", "livekit", **options))
    await provider.close()


def test_the_framework_creates_no_session_and_no_local_model() -> None:
    """The framework imports them itself, but none of our modules creates one."""
    ours = [module for name, module in sys.modules.items() if name.startswith("pipeline_worker.engines.livekit_")]
    assert ours
    assert not any("AgentSession" in vars(module) or "turn_detector" in vars(module) for module in ours)
