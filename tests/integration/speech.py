"""The speech of test callers, and the words in what they heard."""

import functools
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from callers.voice import Voice, synthesizer
from pipeline_worker.engines.moonshine.files import PACKAGED, folder_of
from pipeline_worker.engines.moonshine.model import MoonshineModel
from pipeline_worker.text.words import words_of
from shared.audio import Pcm

_BRITISH = Voice(voice="en-gb-x-rp")
"""No agent speaks with it."""
_TOKENS_PER_S = 6.5
_LEAST_LIKENESS = 0.6
_FIGURES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


async def spoken(*texts: str, voice: Voice = _BRITISH) -> list[Pcm]:
    """48 kHz mono speech of each text."""
    async with synthesizer() as voices:
        return [await voices.speech(text, voice) for text in texts]


def heard_words(pcm: Pcm) -> list[str]:
    """The words in up to half a minute of 16 kHz audio, in lower case. Numbers up to twelve are spelt out."""
    model = _recogniser()
    words = words_of(model.text(model.hear(pcm.astype(np.float32) / np.float32(32_768)).tokens))
    return [_FIGURES[int(word)] if word.isdecimal() and int(word) < len(_FIGURES) else word for word in words]


def most_like(words: Sequence[str], phrases: Sequence[str]) -> str:
    """The phrase that resembles the words most, letter by letter; empty if none does."""
    heard = " ".join(words)
    likeness = {phrase: SequenceMatcher(None, heard, phrase, autojunk=False).ratio() for phrase in phrases}
    best = max(likeness, key=lambda phrase: likeness[phrase])
    return best if likeness[best] >= _LEAST_LIKENESS else ""


@functools.cache
def _recogniser() -> MoonshineModel:
    folder = folder_of(PACKAGED)
    assert folder is not None
    return MoonshineModel(folder, _TOKENS_PER_S)
