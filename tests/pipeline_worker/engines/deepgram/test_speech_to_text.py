import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.deepgram import speech_to_text as deepgram_stt
from pipeline_worker.engines.deepgram.speech_to_text import (
    DeepgramSpeechToTextProvider,
    DeepgramStream,
    TranscriptParts,
)
from pipeline_worker.engines.network import websocket_pool
from pipeline_worker.engines.protocols import Transcript
from shared.audio import Pcm
from shared.errors import ConfigError, EngineError
from tests.fakes.deepgram_server import DeepgramListenServer, running_listen_server
from tests.fakes.vendor_server import KEY
from tests.fakes.virtual_time import in_virtual_time
from tests.pipeline_worker.engines.agents import agent_with, started

HALF_SECOND = np.arange(8_000, dtype=np.int16)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)


def provided(base_url: str, **options: object) -> AbstractAsyncContextManager[DeepgramSpeechToTextProvider]:
    agent = agent_with("speech_to_text", "deepgram", {"base_url": base_url, **options})
    return started(DeepgramSpeechToTextProvider(), agent)


@pytest.fixture
async def server() -> AsyncIterator[DeepgramListenServer]:
    async with running_listen_server("a table for two", "at eight", "goodbye") as server:
        yield server


@pytest.fixture
async def provider(server: DeepgramListenServer) -> AsyncIterator[DeepgramSpeechToTextProvider]:
    async with provided(server.base_url) as provider:
        yield provider


async def heard(stream: DeepgramStream, *pieces: Pcm) -> Transcript:
    for piece in pieces:
        await stream.push(piece)
    return await stream.finish()


async def interim(stream: DeepgramStream, samples: int = 16) -> Transcript:
    """The next one, while the caller keeps silent."""
    async with asyncio.timeout(10):
        while (recognised := await stream.push(np.zeros(samples, np.int16))) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return recognised


async def test_an_utterance_is_heard_as_it_grows_and_at_its_end(
    server: DeepgramListenServer, provider: DeepgramSpeechToTextProvider
) -> None:
    stream = provider.open("desk").open()
    assert await stream.push(HALF_SECOND) is None
    assert await interim(stream) == Transcript("a", final=False)
    await stream.push(HALF_SECOND)
    assert await interim(stream) == Transcript("a table", final=False)
    assert await stream.finish() == Transcript("a table for two", final=True)
    pcm = HALF_SECOND.tobytes()
    assert server.heard[0].startswith(pcm)
    assert server.heard[0].replace(b"\0\0", b"").count(pcm.replace(b"\0\0", b"")) == 2


async def test_two_callers_who_talk_at_once_are_told_apart(
    server: DeepgramListenServer, provider: DeepgramSpeechToTextProvider
) -> None:
    first, second = provider.open("desk").open(), provider.open("desk").open()
    await first.push(HALF_SECOND)
    await second.push(HALF_SECOND[:100])
    assert (await first.finish()).text == "a table for two"
    assert (await second.finish()).text == "at eight"
    assert server.connections == 2
    assert server.heard == [HALF_SECOND.tobytes(), HALF_SECOND[:100].tobytes()]


async def test_options_reach_the_vendor(server: DeepgramListenServer) -> None:
    async with provided(server.base_url, language="multi", keyterms=["Trattoria Aurora", "pesto"]):
        assert server.queries[0]["language"] == ["multi"]
        assert server.queries[0]["keyterm"] == ["Trattoria Aurora", "pesto"]


async def test_an_idle_connection_is_kept_alive(server: DeepgramListenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_pool, "_KEEP_ALIVE_S", 0.01)
    async with provided(server.base_url) as provider:
        await server.until(lambda: server.keep_alives >= 3)
        assert (await heard(provider.open("desk").open(), HALF_SECOND)).text == "a table for two"
        assert server.connections == 1


async def test_a_connection_lost_in_mid_utterance_is_replaced_and_hears_all_of_it(
    server: DeepgramListenServer, provider: DeepgramSpeechToTextProvider
) -> None:
    stream = provider.open("desk").open()
    await stream.push(HALF_SECOND)
    await interim(stream)
    await server.drop_connections()
    await stream.push(HALF_SECOND)
    assert await stream.finish() == Transcript("a table for two", final=True)
    assert server.heard[-1].endswith(HALF_SECOND.tobytes())
    assert server.heard[-1].startswith(HALF_SECOND.tobytes())


async def test_a_connection_lost_at_the_end_is_replaced(server: DeepgramListenServer) -> None:
    server.listen_fault, server.faulty_connections = "close_at_end", 1
    async with provided(server.base_url) as other:
        assert (await heard(other.open("desk").open(), HALF_SECOND)).text == "a table for two"
    assert server.heard == [HALF_SECOND.tobytes()]


async def test_a_long_utterance_is_not_kept(
    server: DeepgramListenServer, provider: DeepgramSpeechToTextProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_stt, "_KEPT_SAMPLES", 10_000)
    stream = provider.open("desk").open()
    await stream.push(HALF_SECOND)
    await stream.push(HALF_SECOND)
    await interim(stream)
    await server.drop_connections()
    with pytest.raises(EngineError) as caught:
        await heard(stream, *[HALF_SECOND] * 3)
    assert caught.value.code == "engine_broken"


async def test_an_utterance_that_is_dropped_stops_the_vendor(
    server: DeepgramListenServer, provider: DeepgramSpeechToTextProvider
) -> None:
    stt = provider.open("desk")
    stream = stt.open()
    await stream.push(HALF_SECOND)
    await stream.cancel()
    await stream.cancel()
    await server.until(lambda: server.closed_streams == 1)
    assert (await heard(stt.open(), HALF_SECOND[:10])).text == "a table for two"
    assert server.heard == [HALF_SECOND[:10].tobytes()]
    with pytest.raises(EngineError):
        await stream.push(HALF_SECOND)
    with pytest.raises(EngineError):
        await stream.finish()


async def test_an_error_in_place_of_a_text_is_raised(
    server: DeepgramListenServer, provider: DeepgramSpeechToTextProvider
) -> None:
    server.listen_fault = "error"
    with pytest.raises(EngineError, match="no such keyterm") as caught:
        await heard(provider.open("desk").open(), HALF_SECOND, HALF_SECOND)
    assert caught.value.code == "engine_refused"


async def test_waiting_for_an_answer_has_a_deadline(
    server: DeepgramListenServer, provider: DeepgramSpeechToTextProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_stt, "_ANSWER_TIMEOUT_S", 0.1)
    server.listen_fault = "stall"
    with pytest.raises(EngineError) as caught:
        await heard(provider.open("desk").open(), HALF_SECOND)
    assert caught.value.code == "engine_timeout"


async def test_without_an_answer_to_finalize_what_was_heard_counts(
    server: DeepgramListenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_stt, "_QUIET_S", 0.2)
    server.listen_fault = "no_end"
    async with provided(server.base_url) as provider:
        stream = provider.open("desk").open()
        await stream.push(HALF_SECOND)
        await interim(stream)
        assert await stream.finish() == Transcript("a", final=True)
        # A late result must not reach the next utterance.
        await server.until(lambda: server.closed_streams == 1)


class RefusingConnection:
    """Refuses the utterance while its end is being sent."""

    def __init__(self) -> None:
        self._ending = asyncio.Event()

    async def send(self, message: bytes | str) -> None:
        if isinstance(message, str):
            self._ending.set()
            await asyncio.sleep(0.01)

    async def recv(self) -> str:
        await self._ending.wait()
        return '{"type": "Error", "description": "no more credit"}'


class OneConnection(websocket_pool.WebSocketPool):
    def __init__(self, connection: Any) -> None:
        super().__init__("Deepgram", "ws://127.0.0.1", {})
        self._connection = connection

    async def take(self) -> Any:
        return self._connection

    def discard(self, connection: Any, farewell: str | None = None) -> None:
        pass


@in_virtual_time
async def test_a_failure_while_the_end_is_sent_is_raised_at_once() -> None:
    stream = DeepgramStream(OneConnection(RefusingConnection()))
    with pytest.raises(EngineError, match="no more credit"):
        await heard(stream, HALF_SECOND)
    assert asyncio.get_running_loop().time() < 1


async def test_a_missing_model_prevents_the_start(server: DeepgramListenServer) -> None:
    server.status = 400
    with pytest.raises(ConfigError, match=r"agent 'desk': speech_to_text.options: .*no such model/language"):
        async with provided(server.base_url):
            pass


async def test_a_websocket_s_address_is_no_base_url() -> None:
    with pytest.raises(ConfigError, match="base_url"):
        DeepgramSpeechToTextProvider().add(
            agent_with("speech_to_text", "deepgram", {"base_url": "wss://api.deepgram.com"})
        )


def test_a_repeated_end_does_not_end_the_next_utterance() -> None:
    transcript = TranscriptParts()
    channel = '"channel": {"alternatives": [{"transcript": "hello"}]}'
    transcript.take(f'{{"type": "Results", {channel}, "is_final": true, "from_finalize": true}}')
    assert not transcript.is_finalized
    assert transcript.text == ""
    transcript.take(f'{{"type": "Results", {channel}, "is_final": false}}')
    assert transcript.text == "hello"
