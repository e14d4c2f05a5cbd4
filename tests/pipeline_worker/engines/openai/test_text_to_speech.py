from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.openai.text_to_speech import OpenAiTextToSpeech, OpenAiTextToSpeechProvider
from shared.audio import Pcm, as_samples
from shared.errors import EngineError
from tests.fakes.openai_agents import openai_agent
from tests.fakes.openai_server import Fault, OpenAiServer, tone

TEXT = "A table for two."


@pytest.fixture
async def provider() -> AsyncIterator[OpenAiTextToSpeechProvider]:
    provider = OpenAiTextToSpeechProvider()
    yield provider
    await provider.close()


async def opened(
    provider: OpenAiTextToSpeechProvider, server: OpenAiServer, id_: str = "desk", **options: Any
) -> OpenAiTextToSpeech:
    provider.add(openai_agent("text_to_speech", server.base_url, {"id": id_}, **options))
    await provider.start()
    return provider.open(id_)


async def spoken(tts: OpenAiTextToSpeech, text: str = TEXT) -> list[Pcm]:
    return [piece.samples async for piece in tts.speak(text)]


async def test_speech_is_what_the_server_sends_wherever_its_pieces_end(
    provider: OpenAiTextToSpeechProvider, server: OpenAiServer
) -> None:
    server.manner.speech_speed = 20  # so that pieces arrive one by one
    tts = await opened(provider, server, speed=1.2, instructions="Friendly.", extra_body={"lang_code": "a"})
    pieces = await spoken(tts)
    assert tts.sample_rate == 24_000
    assert len(pieces) > 5
    assert np.array_equal(np.concatenate(pieces), as_samples(tone(TEXT)))
    assert server.asked("/audio/speech")[0].json == {
        "model": "m",
        "voice": "nova",
        "input": TEXT,
        "response_format": "pcm",
        "speed": 1.2,
        "instructions": "Friendly.",
        "lang_code": "a",
    }
    await tts.close()


async def test_it_begins_before_the_server_is_done(provider: OpenAiTextToSpeechProvider, server: OpenAiServer) -> None:
    tts = await opened(provider, server)
    server.faults.append(Fault("stall", after=2))
    async with aclosing(tts.speak(TEXT)) as pieces:
        assert len((await anext(pieces)).samples)
        assert server.active == 1
    await server.until(lambda: server.disconnects == 1 and server.active == 0)


@pytest.mark.parametrize(
    ("server_rate", "rate"), [(16_000, 16_000), (22_050, 24_000), (44_100, 48_000), (96_000, 48_000)]
)
async def test_a_rate_that_opus_does_not_take_is_changed(
    provider: OpenAiTextToSpeechProvider, server: OpenAiServer, server_rate: int, rate: int
) -> None:
    tts = await opened(provider, server, sample_rate=server_rate)
    assert tts.sample_rate == rate
    sent = len(as_samples(tone(TEXT)))
    assert sum(map(len, await spoken(tts))) == pytest.approx(sent * rate / server_rate, abs=2)


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (Fault("close", after=2), "engine_broken", True),
        (Fault("stall"), "engine_timeout", False),
        (Fault("stall", after=2), "engine_timeout", True),
    ],
)
async def test_a_failure_is_raised_after_the_speech_so_far_and_the_next_sentence_works(
    provider: OpenAiTextToSpeechProvider, server: OpenAiServer, fault: Fault, code: str, said: bool
) -> None:
    tts = await opened(provider, server)
    hasty = await opened(provider, server, id_="hasty", timeout_s=0.2)
    server.faults.append(fault)
    pieces = []
    with pytest.raises(EngineError) as raised:
        async for piece in (hasty if fault.kind == "stall" else tts).speak(TEXT):
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts
    assert (raised.value.code, bool(pieces)) == (code, said)
    assert len(np.concatenate(await spoken(tts))) == len(as_samples(tone(TEXT)))


@pytest.mark.parametrize("begins", [b"RIFF....WAVE", b"ID3\x04\x00", b"OggS\x00"])
async def test_a_file_in_place_of_samples_is_not_played(
    provider: OpenAiTextToSpeechProvider, server: OpenAiServer, begins: bytes
) -> None:
    server.manner.speech_begins = begins
    tts = await opened(provider, server)
    with pytest.raises(EngineError, match="file in place of raw samples") as raised:
        await spoken(tts)
    assert raised.value.code == "engine_broken"


@pytest.mark.parametrize("content_type", ["audio/mpeg", "text/html; charset=utf-8", "application/json"])
async def test_another_kind_of_answer_is_not_played(
    provider: OpenAiTextToSpeechProvider, server: OpenAiServer, content_type: str
) -> None:
    server.manner.speech_type = content_type
    tts = await opened(provider, server)
    with pytest.raises(EngineError, match=f"{content_type} in place of raw samples"):
        await spoken(tts)
