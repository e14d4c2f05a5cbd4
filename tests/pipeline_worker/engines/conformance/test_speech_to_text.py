"""What every recogniser does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from pipeline_worker.engines.protocols import SpeechToText, SpeechToTextStream, Transcript
from shared.audio import Pcm
from shared.errors import EngineError
from tests.pipeline_worker.engines.agents import started
from tests.pipeline_worker.engines.conformance.engines import SPEECH_TO_TEXT
from tests.pipeline_worker.engines.spoken import caller

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def utterance() -> Pcm:
    async with caller() as one:
        return await one.says("Where is the restaurant?")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SPEECH_TO_TEXT)
async def stt(request: Any) -> AsyncIterator[SpeechToText]:
    engine = SPEECH_TO_TEXT[request.param]
    async with engine.agent("speech_to_text") as agent, started(engine.provider(), agent) as provider:
        yield provider.open("desk")


async def push(stream: SpeechToTextStream, samples: Pcm) -> list[Transcript]:
    pieces = np.split(samples, range(1_600, len(samples), 1_600))
    return [interim for piece in pieces if (interim := await stream.push(piece)) is not None]


async def heard(stt: SpeechToText, samples: Pcm) -> Transcript:
    stream = stt.open()
    await push(stream, samples)
    return await stream.finish()


async def test_an_utterance_has_a_final_text(stt: SpeechToText, utterance: Pcm) -> None:
    stream = stt.open()
    assert not any(interim.final for interim in await push(stream, utterance))
    transcript = await stream.finish()
    assert transcript.final
    assert transcript.text == transcript.text.strip() != ""


async def test_an_utterance_without_sound_has_no_text(stt: SpeechToText) -> None:
    assert await stt.open().finish() == Transcript("", final=True)


async def test_a_finished_utterance_accepts_no_more_audio(stt: SpeechToText, utterance: Pcm) -> None:
    stream = stt.open()
    await push(stream, utterance)
    await stream.finish()
    with pytest.raises(EngineError):
        await stream.push(utterance)
    with pytest.raises(EngineError):
        await stream.finish()
    await stream.cancel()


async def test_an_abandoned_utterance_leaves_the_engine_usable(stt: SpeechToText, utterance: Pcm) -> None:
    stream = stt.open()
    await push(stream, utterance)
    await stream.cancel()
    await stream.cancel()
    with pytest.raises(EngineError):
        await stream.push(utterance)
    assert (await heard(stt, utterance)).text


async def test_abandoning_the_end_leaves_the_engine_usable(stt: SpeechToText, utterance: Pcm) -> None:
    stream = stt.open()
    await push(stream, utterance)
    finishing = asyncio.create_task(stream.finish())
    await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.wait([finishing])
    await stream.cancel()
    assert (await heard(stt, utterance)).text


async def test_callers_who_speak_at_once_are_each_heard(stt: SpeechToText, utterance: Pcm) -> None:
    assert all(one.text for one in await asyncio.gather(*(heard(stt, utterance) for _ in range(3))))
