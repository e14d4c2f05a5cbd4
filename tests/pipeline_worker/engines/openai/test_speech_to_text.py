import asyncio
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.openai.speech_to_text import (
    OpenAiSpeechToText,
    OpenAiSpeechToTextProvider,
    OpenAiSpeechToTextStream,
)
from pipeline_worker.engines.protocols import Transcript
from shared.audio import Pcm, as_samples
from shared.errors import EngineError
from tests.fakes.openai_agents import openai_agent
from tests.fakes.openai_server import Fault, OpenAiServer, Request, running_openai_server

SECOND = np.arange(16_000, dtype=np.int16)


@pytest.fixture
async def server() -> AsyncIterator[OpenAiServer]:
    async with running_openai_server(transcripts=["a table for two"]) as server:
        yield server


@pytest.fixture
async def provider() -> AsyncIterator[OpenAiSpeechToTextProvider]:
    provider = OpenAiSpeechToTextProvider()
    yield provider
    await provider.close()


async def opened(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer, language: str = "en", id_: str = "desk", **options: Any
) -> OpenAiSpeechToText:
    provider.add(openai_agent("speech_to_text", server.base_url, {"id": id_, "language": language}, **options))
    await provider.start()
    return provider.open(id_)


async def said(stt: OpenAiSpeechToText, *pieces: Pcm) -> OpenAiSpeechToTextStream:
    stream = stt.open()
    for piece in pieces:
        assert await stream.push(piece) is None
    return stream


def heard(request: Request) -> Pcm:
    with wave.open(io.BytesIO(request.form["file"])) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (16_000, 1, 2)
        return as_samples(recording.readframes(recording.getnframes()))


async def test_an_utterance_is_sent_whole(provider: OpenAiSpeechToTextProvider, server: OpenAiServer) -> None:
    stt = await opened(provider, server, language="de-AT")
    stream = await said(stt, SECOND, SECOND[:100])
    assert server.asked("/audio/transcriptions") == []
    assert await stream.finish() == Transcript("a table for two", True)
    (request,) = server.asked("/audio/transcriptions")
    assert np.array_equal(heard(request), np.concatenate([SECOND, SECOND[:100]]))
    assert {name: value for name, value in request.form.items() if name != "file"} == {"model": b"m", "language": b"de"}
    with pytest.raises(EngineError, match="the utterance is over"):
        await stream.push(SECOND)
    await stt.close()


async def test_options_are_sent(provider: OpenAiSpeechToTextProvider, server: OpenAiServer) -> None:
    stt = await opened(provider, server, language="en", prompt="Aurora", extra_body={"vad_filter": "true"})
    await (await said(stt, SECOND)).finish()
    form = server.asked("/audio/transcriptions")[0].form
    assert (form["prompt"], form["vad_filter"], form["language"]) == (b"Aurora", b"true", b"en")


async def test_the_server_may_detect_the_language(provider: OpenAiSpeechToTextProvider, server: OpenAiServer) -> None:
    provider.add(openai_agent("speech_to_text", server.base_url, language=""))
    await provider.start()
    await (await said(provider.open("desk"), SECOND)).finish()
    assert "language" not in server.asked("/audio/transcriptions")[0].form


async def test_a_sound_shorter_than_a_word_is_not_sent(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer
) -> None:
    stt = await opened(provider, server)
    assert await (await said(stt)).finish() == Transcript("", True)
    assert await (await said(stt, SECOND[:1599])).finish() == Transcript("", True)
    assert server.asked("/audio/transcriptions") == []


async def test_only_the_end_of_a_long_utterance_is_sent(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer
) -> None:
    stt = await opened(provider, server, max_utterance_s=2)
    pieces = [np.full(16_000, number, dtype=np.int16) for number in range(5)]
    await (await said(stt, *pieces)).finish()
    assert sorted(set(heard(server.asked("/audio/transcriptions")[0]).tolist())) == [3, 4]


async def test_a_transcript_may_come_in_parts(provider: OpenAiSpeechToTextProvider, server: OpenAiServer) -> None:
    stt = await opened(provider, server, stream=True)
    assert (await (await said(stt, SECOND)).finish()).text == "a table for two"
    assert server.asked("/audio/transcriptions")[0].form["stream"] == b"true"


async def test_a_model_that_does_not_stream_is_understood(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer
) -> None:
    server.manner.streams_transcripts = False
    stt = await opened(provider, server, stream=True)
    assert (await (await said(stt, SECOND)).finish()).text == "a table for two"


async def until_interim(stream: OpenAiSpeechToTextStream) -> Transcript:
    async with asyncio.timeout(5):
        while (interim := await stream.push(SECOND[:1])) is None:  # noqa: ASYNC110 - results come with a push
            await asyncio.sleep(0)
        return interim


async def test_interim_results_come_while_the_caller_speaks(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer
) -> None:
    server.manner.transcripts = ["a table", "a table for two"]
    stt = await opened(provider, server, interim_every_s=1)
    stream = await said(stt, SECOND[:8000], SECOND[:8000])
    assert await until_interim(stream) == Transcript("a table", False)
    assert len(heard(server.asked("/audio/transcriptions")[0])) == 16_000
    assert await stream.finish() == Transcript("a table for two", True)


async def test_the_same_interim_result_is_returned_once(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer
) -> None:
    stt = await opened(provider, server, interim_every_s=1)
    stream = await said(stt, SECOND)
    assert await until_interim(stream) == Transcript("a table for two", False)
    assert await stream.push(SECOND) is None
    await server.until(lambda: len(server.asked("/audio/transcriptions")) == 2 and not server.active)
    server.manner.transcripts = ["a table for three"]
    assert await until_interim_after(stream) == Transcript("a table for three", False)
    await stream.cancel()


async def until_interim_after(stream: OpenAiSpeechToTextStream) -> Transcript:
    """The request under way has nothing new; another second of speech makes another request."""
    await stream.push(SECOND)
    return await until_interim(stream)


async def test_a_failed_interim_result_is_no_failure_of_the_utterance(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer
) -> None:
    stt = await opened(provider, server, interim_every_s=1)
    server.faults.append(Fault("status"))
    stream = await said(stt, SECOND)
    await server.until(lambda: len(server.requests) == 2 and not server.active)
    assert await until_interim_after(stream) == Transcript("a table for two", False)
    assert (await stream.finish()).final


@pytest.mark.parametrize("end", ["finish", "cancel"])
async def test_the_end_of_an_utterance_ends_its_interim_request(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer, end: str
) -> None:
    stt = await opened(provider, server, interim_every_s=1)
    server.faults.append(Fault("stall"))
    stream = await said(stt, SECOND)
    await server.until(lambda: server.active == 1)
    await getattr(stream, end)()
    await server.until(lambda: server.disconnects == 1 and server.active == 0)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("stall"), "engine_timeout"),
        (Fault("stall", after=1), "engine_timeout"),
        (Fault("end", after=1), "engine_broken"),
        (Fault("error_event", after=1), "engine_unavailable"),
    ],
)
async def test_a_failure_is_raised_and_the_next_utterance_works(
    provider: OpenAiSpeechToTextProvider, server: OpenAiServer, fault: Fault, code: str
) -> None:
    stt = await opened(provider, server, stream=True)
    hasty = await opened(provider, server, id_="hasty", stream=True, timeout_s=0.1)
    server.faults.append(fault)
    with pytest.raises(EngineError) as raised:
        await (await said(hasty if fault.kind == "stall" else stt, SECOND)).finish()
    assert raised.value.code == code
    assert (await (await said(stt, SECOND)).finish()).text == "a table for two"


async def test_an_answer_without_a_text_is_an_error(provider: OpenAiSpeechToTextProvider, server: OpenAiServer) -> None:
    stt = await opened(provider, server)
    server.manner.transcripts = [None]  # type: ignore[list-item]
    with pytest.raises(EngineError) as raised:
        await (await said(stt, SECOND)).finish()
    assert raised.value.code == "engine_broken"
