import asyncio
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.livekit import speech_to_text as livekit_stt
from pipeline_worker.engines.livekit.speech_to_text import LiveKitSpeechToText
from pipeline_worker.engines.protocols import Transcript
from shared.errors import EngineError

SOUND = np.ones(1_600, dtype=np.int16)


@pytest.fixture(autouse=True)
def short_wait_for_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit_stt, "_LAST_WORDS_S", 0.2)


def vendor(**arguments: Any) -> Any:
    from livekit.plugins.standin import STT  # type: ignore[import-not-found, unused-ignore]

    return STT(key="a-key", **arguments)


async def until_told(stream: Any) -> Transcript:
    """The stand-in answers as soon as it is its turn."""
    for _ in range(20):
        if (recognised := await stream.push(SOUND)) is not None:
            assert isinstance(recognised, Transcript)
            return recognised
        await asyncio.sleep(0)
    raise AssertionError("it hears nothing")


async def test_interim_texts_come_while_one_speaks_and_the_final_one_at_the_end() -> None:
    stt = vendor()
    stream = LiveKitSpeechToText(stt, "standin").open()
    interim = await until_told(stream)
    assert interim.text.startswith("word0")
    assert not interim.final
    final = await stream.finish()
    assert final.final
    assert final.text.startswith("word0 word1")
    assert stt.open_streams == 0


async def test_the_parts_of_a_final_text_make_one() -> None:
    stream = LiveKitSpeechToText(vendor(), "standin").open()
    for _ in range(4):
        await stream.push(SOUND)
    assert await stream.finish() == Transcript("word0 word1 word2 word3", True)
    with pytest.raises(EngineError, match="over"):
        await stream.push(SOUND)


async def test_a_stream_that_stays_open_gives_what_it_has() -> None:
    stt = vendor(fault="open")
    stream = LiveKitSpeechToText(stt, "standin").open()
    await stream.push(SOUND)
    await stream.push(SOUND)
    assert await stream.finish() == Transcript("word0 word1", True)
    assert stt.open_streams == 0


async def test_a_stream_that_says_nothing_is_late() -> None:
    stt = vendor(fault="stall")
    stream = LiveKitSpeechToText(stt, "standin").open()
    await stream.push(SOUND)
    with pytest.raises(EngineError) as raised:
        await stream.finish()
    assert raised.value.code == "engine_timeout"
    assert stt.open_streams == 0


async def test_an_error_shows_at_the_next_push() -> None:
    stream = LiveKitSpeechToText(vendor(fault="key"), "standin").open()
    with pytest.raises(EngineError) as raised:
        await until_told(stream)
    assert raised.value.code == "engine_key_refused"
    await stream.cancel()


async def test_cancelling_ends_the_stream() -> None:
    stt = vendor()
    stream = LiveKitSpeechToText(stt, "standin").open()
    await stream.push(SOUND)
    await stream.cancel()
    await stream.cancel()
    assert stt.open_streams == 0


async def test_a_recogniser_that_does_not_stream_hears_the_whole_utterance() -> None:
    stream = LiveKitSpeechToText(vendor(streaming=False), "standin").open()
    for _ in range(3):
        assert await stream.push(SOUND) is None
    assert await stream.finish() == Transcript("4800 samples", True)
    stream = LiveKitSpeechToText(vendor(streaming=False), "standin").open()
    assert await stream.finish() == Transcript("", True)


async def test_only_the_first_minute_of_an_endless_utterance_is_sent() -> None:
    stream = LiveKitSpeechToText(vendor(streaming=False), "standin").open()
    for _ in range(700):
        await stream.push(SOUND)
    assert await stream.finish() == Transcript(f"{60 * 16_000} samples", True)


async def test_its_errors_are_translated() -> None:
    stream = LiveKitSpeechToText(vendor(streaming=False, fault="away"), "standin").open()
    await stream.push(SOUND)
    with pytest.raises(EngineError) as raised:
        await stream.finish()
    assert raised.value.code == "engine_unavailable"
    await stream.cancel()
