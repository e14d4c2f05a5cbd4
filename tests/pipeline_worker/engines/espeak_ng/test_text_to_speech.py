from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.espeak_ng.text_to_speech import (
    EspeakOptions,
    EspeakTextToSpeech,
    EspeakTextToSpeechProvider,
)
from pipeline_worker.engines.helper.frames import Frame
from pipeline_worker.engines.protocols import SpeechPiece, Word
from shared.agent import AgentDefinition
from shared.audio import Pcm
from shared.errors import ConfigError, EngineError


def agent(**options: object) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {"id": "desk", "name": "Desk", "text_to_speech": {"engine": "espeak-ng", "options": options}}
    )


@pytest.fixture
async def provider() -> AsyncIterator[EspeakTextToSpeechProvider]:
    provider = EspeakTextToSpeechProvider()
    provider.add(agent())
    yield provider
    await provider.close()


@pytest.fixture
def tts(provider: EspeakTextToSpeechProvider) -> EspeakTextToSpeech:
    return provider.open("desk")


async def spoken(tts: EspeakTextToSpeech, text: str) -> tuple[Pcm, list[Word], list[SpeechPiece]]:
    pieces = [piece async for piece in tts.speak(text)]
    samples = np.concatenate([piece.samples for piece in pieces]) if pieces else np.zeros(0, np.int16)
    return samples, [word for piece in pieces for word in piece.words], pieces


async def test_words_cover_the_text_and_end_where_they_end(tts: EspeakTextToSpeech) -> None:
    text = "Hello, this is us - we open at 18:30!  Bye."
    samples, words, pieces = await spoken(tts, text)
    assert " ".join(word.text for word in words) == "Hello, this is us - we open at 18:30! Bye."
    ends = [word.end_sample for word in words]
    assert ends == sorted(ends)
    assert ends[-1] <= len(samples)
    assert all(end > 1000 for end in ends)
    assert len(pieces) > 4


async def test_a_word_comes_no_later_than_its_audio_ends(tts: EspeakTextToSpeech) -> None:
    _, _, pieces = await spoken(tts, "One two three four five six seven. Eight nine ten.")
    given = 0
    ends: list[int] = []
    for number, piece in enumerate(pieces, 1):
        given += len(piece.samples)
        ends += [word.end_sample for word in piece.words]
        later = [word.end_sample for other in pieces[number:] for word in other.words]
        # The resampler holds about 40 ms back.
        assert all(end > given - 24 for end in later)
    assert len(ends) == 10


async def test_the_end_of_a_word_is_where_its_sound_ends(tts: EspeakTextToSpeech) -> None:
    """In the audio, a comma's pause lies before the end of its word, and the next word begins after it."""
    samples, words, _ = await spoken(tts, "Stop, go")
    quiet = np.flatnonzero(np.abs(samples.astype(int)) > 300)
    gap_at = quiet[np.argmax(np.diff(quiet))]
    assert gap_at < words[0].end_sample
    assert words[1].end_sample == len(samples)


async def test_a_sentence_ends_with_a_pause(tts: EspeakTextToSpeech) -> None:
    whole, _, _ = await spoken(tts, "Good evening.")
    without, _, _ = await spoken(tts, "Good evening")
    assert len(whole) - len(without) == pytest.approx(0.25 * 24_000, abs=1_500)
    assert np.abs(whole[-4_800:].astype(int)).max() < 64


class DyingHelper:
    """A helper, and its only channel, that ends after the first word of each text."""

    def __init__(self) -> None:
        self.texts = 0

    async def open(self) -> Any:
        self.texts += 1
        self._frames = [{"words": [[0, 0], [2, 900]]}]
        return self

    async def send(self, header: dict[str, Any], body: bytes = b"") -> None: ...

    async def receive(self, timeout_s: float) -> Frame:
        if not self._frames:
            raise EngineError("the helper ended")
        return Frame(self._frames.pop(), np.full(1_000, 5_000, np.int16).tobytes())

    def close(self, farewell: dict[str, Any]) -> None: ...


async def test_a_helper_that_dies_in_the_middle_of_a_sentence_is_an_error() -> None:
    helper: Any = DyingHelper()
    with pytest.raises(EngineError, match="ended"):
        await spoken(EspeakTextToSpeech(helper, EspeakOptions()), "A word.")
    assert helper.texts == 1, "nothing is said twice"


async def test_start_tries_each_voice() -> None:
    provider = EspeakTextToSpeechProvider()
    provider.add(agent(voice="klingon-9"))
    try:
        with pytest.raises(ConfigError, match=r"agent 'desk': text_to_speech\.options\.voice: .*'klingon-9'"):
            await provider.start()
    finally:
        await provider.close()


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"text_to_speech\.options\.rate"):
        EspeakTextToSpeechProvider().add(agent(rate=9))
