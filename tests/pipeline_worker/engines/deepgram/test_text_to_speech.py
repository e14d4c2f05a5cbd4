from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import numpy as np
import pytest

from pipeline_worker.engines.deepgram.text_to_speech import DeepgramTextToSpeechProvider
from tests.fakes.deepgram_server import DeepgramSpeakServer, running_speak_server
from tests.fakes.vendor_server import KEY, speech
from tests.pipeline_worker.engines.agents import agent_with, started
from tests.pipeline_worker.engines.vendor_spoken import TEXT, spoken


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)


def provided(base_url: str, **options: object) -> AbstractAsyncContextManager[DeepgramTextToSpeechProvider]:
    agent = agent_with("text_to_speech", "deepgram", {"base_url": base_url, **options})
    return started(DeepgramTextToSpeechProvider(), agent)


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
    for text in (TEXT, "One two."):
        samples, words = await spoken(provider.open("desk"), text)
        assert np.array_equal(samples, speech(text)[0])
        assert words == []
    assert server.spoken == [TEXT, "One two."]
    assert server.connections == 1


async def test_a_self_hosted_server_may_lack_the_key_check(server: DeepgramSpeakServer) -> None:
    server.status = 404
    async with provided(server.base_url):
        pass
