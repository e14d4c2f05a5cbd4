"""What a caller says, and what words were in what it heard."""

import contextlib
import functools
from collections.abc import AsyncIterator, Sequence
from difflib import SequenceMatcher
from typing import cast

import numpy as np
import soxr

from pipeline_worker.engines.espeak_ng.text_to_speech import EspeakTextToSpeech, EspeakTextToSpeechProvider
from pipeline_worker.engines.moonshine.files import PACKAGED, folder_of
from pipeline_worker.engines.moonshine.model import MoonshineModel
from pipeline_worker.text.words import words_of
from shared.agent import AgentDefinition, EngineChoice
from shared.audio import Pcm

CALLER_RATE = 48_000
_RECOGNISER_RATE = 16_000
_TOKENS_PER_S = 6.5
_LEAST_LIKENESS = 0.6
_FIGURES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


@contextlib.asynccontextmanager
async def voice(name: str = "en-gb-x-rp", rate: int = 150) -> AsyncIterator[EspeakTextToSpeech]:
    """The product's own engine with another voice than the agent's."""
    choice = EngineChoice(engine="espeak-ng", options={"voice": name, "rate": rate})
    provider = EspeakTextToSpeechProvider()
    provider.add(AgentDefinition(id="caller", name="Caller", text_to_speech=choice))
    try:
        yield provider.open("caller")
    finally:
        await provider.close()


async def spoken(*texts: str) -> list[Pcm]:
    """48 kHz mono speech of each text."""
    async with voice() as engine:
        return [
            resampled(
                np.concatenate([piece.samples async for piece in engine.speak(text)]), engine.sample_rate, CALLER_RATE
            )
            for text in texts
        ]


def resampled(pcm: Pcm, from_rate: int, to_rate: int) -> Pcm:
    return cast(Pcm, soxr.resample(pcm.astype(np.float32), from_rate, to_rate).astype(np.int16))


def heard_words(heard: Pcm, rate: int = CALLER_RATE) -> list[str]:
    """The words in up to half a minute of audio, in small letters; numbers up to twelve are spelt out."""
    pcm = resampled(heard, rate, _RECOGNISER_RATE).astype(np.float32) / np.float32(32_768)
    model = _recogniser()
    words = words_of(model.text(model.hear(pcm).tokens))
    return [_FIGURES[int(word)] if word.isdecimal() and int(word) < len(_FIGURES) else word for word in words]


def most_like(words: Sequence[str], phrases: Sequence[str]) -> str:
    """Which of `phrases` the words resemble most, letter by letter; empty if none."""
    heard = " ".join(words)
    likeness = {phrase: SequenceMatcher(None, heard, phrase, autojunk=False).ratio() for phrase in phrases}
    best = max(likeness, key=lambda phrase: likeness[phrase])
    return best if likeness[best] >= _LEAST_LIKENESS else ""


@functools.cache
def _recogniser() -> MoonshineModel:
    folder = folder_of(PACKAGED)
    assert folder is not None
    return MoonshineModel(folder, _TOKENS_PER_S)
