from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from pipeline_worker.engines.cartesia.text_to_speech import CartesiaTextToSpeechProvider
from shared.agent import AgentDefinition
from shared.errors import ConfigError, EngineError
from tests.fakes.cartesia_server import VOICE, CartesiaServer, running_cartesia_server
from tests.fakes.vendor_server import KEY, speech
from tests.pipeline_worker.engines.vendor_spoken import TEXT, spoken, stopped_midway


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)


def agent(**options: object) -> AgentDefinition:
    choice = {"engine": "cartesia", "options": {"voice": VOICE, **options}}
    return AgentDefinition.model_validate({"id": "desk", "name": "Desk", "language": "en-US", "text_to_speech": choice})


@asynccontextmanager
async def provided(base_url: str, **options: object) -> AsyncIterator[CartesiaTextToSpeechProvider]:
    provider = CartesiaTextToSpeechProvider()
    try:
        provider.add(agent(base_url=base_url, **options))
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def server() -> AsyncIterator[CartesiaServer]:
    async with running_cartesia_server() as server:
        yield server


@pytest.fixture
async def provider(server: CartesiaServer) -> AsyncIterator[CartesiaTextToSpeechProvider]:
    async with provided(server.base_url) as provider:
        yield provider


@pytest.mark.parametrize("times_last", [False, True])
async def test_speech_comes_whole_with_the_time_of_each_word(
    server: CartesiaServer, provider: CartesiaTextToSpeechProvider, times_last: bool
) -> None:
    await provider.start()
    server.times_last = times_last
    for text in (TEXT, "One.", "Good evening!"):
        samples, words = await spoken(provider.open("desk"), text)
        assert np.array_equal(samples, speech(text)[0])
        assert words == speech(text)[1]
    assert server.connections == 1
    assert server.cancelled == []


async def test_the_first_connection_is_warm_when_a_session_begins(
    server: CartesiaServer, provider: CartesiaTextToSpeechProvider
) -> None:
    tts = provider.open("desk")
    await server.until(lambda: server.connections == 1)
    await spoken(tts)
    assert server.connections == 1


async def test_two_who_speak_at_once_do_not_mix(server: CartesiaServer, provider: CartesiaTextToSpeechProvider) -> None:
    first, second = provider.open("desk").speak(TEXT), provider.open("desk").speak("One two three.")
    pieces = [await anext(first), await anext(second)]
    assert [piece.words[0].text for piece in pieces] == ["We", "One"]
    rest = [word.text for speaker in (second, first) async for piece in speaker for word in piece.words]
    assert rest == ["two", "three.", "open", "at", "seven,", "what", "else?"]


async def test_options_reach_the_vendor(server: CartesiaServer) -> None:
    async with provided(server.base_url, speed=1.2, emotion="content", model="sonic-3") as provider:
        await spoken(provider.open("desk"))
    request = server.requests[0]
    assert request["generation_config"] == {"speed": 1.2, "emotion": "content"}
    assert (request["model_id"], request["language"]) == ("sonic-3", "en")


async def test_a_listener_who_leaves_stops_the_vendor(
    server: CartesiaServer, provider: CartesiaTextToSpeechProvider
) -> None:
    server.fault, server.faults_left = "stall_midway", 1
    assert len((await stopped_midway(provider.open("desk"))).samples)
    await server.until(lambda: len(server.cancelled) == 1)
    assert server.cancelled == [server.requests[0]["context_id"]]
    assert (await spoken(provider.open("desk")))[1] == speech(TEXT)[1]


async def test_a_connection_that_was_closed_while_idle_is_replaced(
    server: CartesiaServer, provider: CartesiaTextToSpeechProvider
) -> None:
    tts = provider.open("desk")
    await spoken(tts)
    await server.drop_connections()
    assert (await spoken(tts))[1] == speech(TEXT)[1]
    assert server.connections == 2


async def test_an_error_in_place_of_speech_is_told_by_its_code(
    server: CartesiaServer, provider: CartesiaTextToSpeechProvider
) -> None:
    server.fault = "error"
    with pytest.raises(EngineError, match="Concurrency limit") as caught:
        await spoken(provider.open("desk"))
    assert caught.value.code == "engine_busy"


@pytest.mark.parametrize(
    "nonsense",
    [
        "[]",
        '{"data": "AAAA"}',
        '{"type": "chunk", "data": "no base64"}',
        '{"type": "chunk", "data": "AAAA"}',  # one sample and a half
        '{"type": "timestamps", "word_timestamps": {"words": ["a", "b"], "end": [0.1]}}',
    ],
)
async def test_nonsense_is_not_taken_for_speech(
    server: CartesiaServer, provider: CartesiaTextToSpeechProvider, nonsense: str
) -> None:
    server.fault, server.nonsense = "malformed", nonsense
    with pytest.raises(EngineError) as caught:
        await spoken(provider.open("desk"))
    assert caught.value.code == "engine_broken"


@pytest.mark.parametrize(
    "message",
    [
        '{"type": "chunk", "data": "AAA=", "context_id": "another"}',
        '{"type": "flush_done", "done": false}',
        '{"type": "timestamps", "word_timestamps": null}',
    ],
)
async def test_what_does_not_matter_is_passed_over(
    server: CartesiaServer, provider: CartesiaTextToSpeechProvider, message: str
) -> None:
    server.fault, server.nonsense = "malformed", message
    samples, words = await spoken(provider.open("desk"))
    assert np.array_equal(samples, speech(TEXT)[0])
    assert words == speech(TEXT)[1]


async def test_a_refused_key_stops_the_start_and_is_not_shown(
    server: CartesiaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", "some-wrong-key")
    async with provided(server.base_url) as provider:
        with pytest.raises(ConfigError) as caught:
            await provider.start()
    assert "agent 'desk': text_to_speech.options.api_key_env: Cartesia refuses the key" in caught.value.message
    assert "some-wrong-key" not in caught.value.message
