from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from pipeline_worker.engines.deepgram.text_to_speech import DeepgramTextToSpeechProvider
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from tests.fakes.deepgram_server import DeepgramSpeakServer, running_speak_server
from tests.fakes.vendor_server import KEY, speech
from tests.pipeline_worker.engines.vendor_spoken import TEXT, spoken, stopped_midway


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)


def agent(**options: object) -> AgentDefinition:
    choice = {"engine": "deepgram", "options": options}
    return AgentDefinition.model_validate({"id": "desk", "name": "Desk", "text_to_speech": choice})


@asynccontextmanager
async def provided(base_url: str) -> AsyncIterator[DeepgramTextToSpeechProvider]:
    provider = DeepgramTextToSpeechProvider()
    try:
        provider.add(agent(base_url=base_url))
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def server() -> AsyncIterator[DeepgramSpeakServer]:
    async with running_speak_server() as server:
        yield server


@pytest.fixture
async def provider(server: DeepgramSpeakServer) -> AsyncIterator[DeepgramTextToSpeechProvider]:
    async with provided(server.base_url) as provider:
        yield provider


async def test_speech_comes_whole_over_one_warm_connection(
    server: DeepgramSpeakServer, provider: DeepgramTextToSpeechProvider
) -> None:
    await provider.start()
    for text in (TEXT, "One two."):
        samples, words = await spoken(provider.open("desk"), text)
        assert np.array_equal(samples, speech(text)[0])
        assert words == []
    assert server.spoken == [TEXT, "One two."]
    assert server.connections == 1


async def test_marks_alone_are_not_sent(server: DeepgramSpeakServer, provider: DeepgramTextToSpeechProvider) -> None:
    samples, _ = await spoken(provider.open("desk"), "... - !")
    assert not len(samples)
    assert server.spoken == []


async def test_a_listener_who_leaves_stops_the_vendor(
    server: DeepgramSpeakServer, provider: DeepgramTextToSpeechProvider
) -> None:
    server.fault, server.faults_left = "stall_midway", 1
    assert len((await stopped_midway(provider.open("desk"))).samples)
    await server.until(lambda: server.stopped == 1)
    assert np.array_equal((await spoken(provider.open("desk")))[0], speech(TEXT)[0])


async def test_a_server_of_ones_own_may_lack_the_request_that_tries_the_key(server: DeepgramSpeakServer) -> None:
    server.status = 404
    async with provided(server.base_url) as provider:
        await provider.start()


async def test_a_refused_key_stops_the_start_and_is_not_shown(
    server: DeepgramSpeakServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "some-wrong-key")
    async with provided(server.base_url) as provider:
        with pytest.raises(ConfigError) as caught:
            await provider.start()
        with pytest.raises(EngineError) as later:
            await spoken(provider.open("desk"))
    assert "agent 'desk': text_to_speech.options.api_key_env: Deepgram refuses the key" in caught.value.message
    assert later.value.code == "engine_key_refused"
    assert "some-wrong-key" not in caught.value.message + later.value.message
