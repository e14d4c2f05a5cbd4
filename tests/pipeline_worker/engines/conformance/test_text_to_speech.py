"""What every voice does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from pipeline_worker.engines.protocols import TextToSpeech, Word
from shared.audio import OPUS_RATES, Pcm
from tests.pipeline_worker.engines.agents import started
from tests.pipeline_worker.engines.conformance.engines import TEXT_TO_SPEECH

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "We open at seven, what else?"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=TEXT_TO_SPEECH)
async def tts(request: Any) -> AsyncIterator[TextToSpeech]:
    engine = TEXT_TO_SPEECH[request.param]
    async with engine.agent("text_to_speech") as agent, started(engine.provider(), agent) as provider:
        yield provider.open("desk")


async def spoken(tts: TextToSpeech, text: str = TEXT) -> tuple[Pcm, list[Word]]:
    pieces = [piece async for piece in tts.speak(text)]
    assert {piece.samples.dtype for piece in pieces} == {np.dtype(np.int16)}
    return np.concatenate([piece.samples for piece in pieces]), [word for piece in pieces for word in piece.words]


async def test_speech_has_a_rate_that_opus_takes_and_words_within_it(tts: TextToSpeech) -> None:
    assert tts.sample_rate in OPUS_RATES
    samples, words = await spoken(tts)
    assert len(samples) > tts.sample_rate / 4
    ends = [word.end_sample for word in words]
    assert ends == sorted(set(ends))
    assert not ends or (ends[0] > 0 and ends[-1] <= len(samples))
    assert [word.text for word in words] in ([], TEXT.split())


@pytest.mark.parametrize("text", ["", "   ", "...", " - "])
async def test_a_text_without_words_is_silence_of_no_length(tts: TextToSpeech, text: str) -> None:
    assert [piece async for piece in tts.speak(text)] == []


async def test_a_listener_who_leaves_leaves_the_engine_usable(tts: TextToSpeech) -> None:
    async with aclosing(tts.speak(TEXT * 5)) as pieces:
        await anext(pieces)
    samples, words = await spoken(tts)
    assert len(samples)
    assert [word.text for word in words] in ([], TEXT.split())


async def test_cancelling_while_waiting_leaves_the_engine_usable(tts: TextToSpeech) -> None:
    speaking = asyncio.create_task(spoken(tts))
    await asyncio.sleep(0)
    speaking.cancel()
    await asyncio.wait([speaking])
    assert len((await spoken(tts))[0])


async def test_texts_that_are_spoken_at_once_do_not_mix(tts: TextToSpeech) -> None:
    texts = [TEXT, "One two three.", "Good evening!"]
    alone = [await spoken(tts, text) for text in texts]
    together = await asyncio.gather(*(spoken(tts, text) for text in texts))
    for text, (one, _), (other, words) in zip(texts, alone, together, strict=True):
        assert len(one) == pytest.approx(len(other), rel=0.25)  # some voices vary at random
        assert [word.text for word in words] in ([], text.split())
