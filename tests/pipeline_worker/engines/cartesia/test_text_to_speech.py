from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import numpy as np
import pytest

from pipeline_worker.engines.cartesia.text_to_speech import CartesiaTextToSpeechProvider
from shared.errors import EngineError
from tests.fakes.cartesia_server import VOICE, CartesiaServer, running_cartesia_server
from tests.fakes.vendor_server import KEY, speech
from tests.pipeline_worker.engines.agents import agent_with, started
from tests.pipeline_worker.engines.vendor_spoken import TEXT, spoken


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)


def provided(base_url: str, **options: object) -> AbstractAsyncContextManager[CartesiaTextToSpeechProvider]:
    agent = agent_with("text_to_speech", "cartesia", {"base_url": base_url, "voice": VOICE, **options})
    return started(CartesiaTextToSpeechProvider(), agent)


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
    server.times_last = times_last
    for text in (TEXT, "One.", "Good evening!"):
        samples, words = await spoken(provider.open("desk"), text)
        assert np.array_equal(samples, speech(text)[0])
        assert words == speech(text)[1]
    assert server.connections == 1
    assert server.cancelled == []


async def test_options_reach_the_vendor(server: CartesiaServer) -> None:
    async with provided(server.base_url, speed=1.2, emotion="content", model="sonic-3") as provider:
        await spoken(provider.open("desk"))
    request = server.requests[0]
    assert request["generation_config"] == {"speed": 1.2, "emotion": "content"}
    assert (request["model_id"], request["language"]) == ("sonic-3", "en")


async def test_an_error_in_place_of_speech_has_our_code(
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
async def test_irrelevant_messages_are_ignored(
    server: CartesiaServer, provider: CartesiaTextToSpeechProvider, message: str
) -> None:
    server.fault, server.nonsense = "malformed", message
    samples, words = await spoken(provider.open("desk"))
    assert np.array_equal(samples, speech(TEXT)[0])
    assert words == speech(TEXT)[1]
