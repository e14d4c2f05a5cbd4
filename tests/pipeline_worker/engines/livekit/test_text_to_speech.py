from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.livekit.text_to_speech import LiveKitTextToSpeech
from pipeline_worker.engines.protocols import SpeechPiece, Word
from shared.errors import EngineError


def vendor(key: str = "a-key", **arguments: Any) -> Any:
    from livekit.plugins.standin import TTS  # type: ignore[import-not-found, unused-ignore]

    return TTS(key=key, **arguments)


async def spoken(tts: Any, text: str) -> list[SpeechPiece]:
    return [piece async for piece in LiveKitTextToSpeech(tts, "standin").speak(text)]


async def test_speech_is_brought_to_our_rate_with_the_times_of_its_words() -> None:
    tts = vendor()
    assert LiveKitTextToSpeech(tts, "standin").sample_rate == 24_000
    pieces = await spoken(tts, "One two three.")
    samples = np.concatenate([piece.samples for piece in pieces])
    assert len(samples) == 7_200
    assert np.median(samples) == pytest.approx(1_000, abs=10)
    words = [word for piece in pieces for word in piece.words]
    assert words == [Word("One", 2_400), Word("two", 4_800), Word("three.", 7_200)]
    assert tts.open_streams == 0


async def test_a_rate_that_can_be_sent_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    tts = vendor()
    tts.sample_rate = 16_000
    assert LiveKitTextToSpeech(tts, "standin").sample_rate == 16_000
    assert sum(len(piece.samples) for piece in await spoken(tts, "One two")) == 3_200


async def test_words_without_times_are_left_out() -> None:
    assert not any(piece.words for piece in await spoken(vendor(key="no times"), "One two"))


async def test_a_voice_that_does_not_stream_gets_the_whole_text() -> None:
    pieces = await spoken(vendor(streaming=False), "it")
    assert [word.text for piece in pieces for word in piece.words] == ["all", "of", "it"]


async def test_cancelling_ends_the_stream() -> None:
    tts = vendor()
    async with aclosing(LiveKitTextToSpeech(tts, "standin").speak("One two three")) as pieces:
        async for _ in pieces:
            break
    assert tts.open_streams == 0


async def test_its_errors_are_translated() -> None:
    tts = vendor(fault="key")
    with pytest.raises(EngineError) as raised:
        await spoken(tts, "One")
    assert raised.value.code == "engine_key_refused"
    assert tts.open_streams == 0
