"""Shared by the tests of vendors' voices."""

import numpy as np

from pipeline_worker.engines.protocols import TextToSpeech, Word
from shared.audio import Pcm

TEXT = "We open at seven, what else?"


async def spoken(tts: TextToSpeech, text: str = TEXT) -> tuple[Pcm, list[Word]]:
    pieces = [piece async for piece in tts.speak(text)]
    assert all(len(piece.samples) for piece in pieces)
    samples = np.concatenate([piece.samples for piece in pieces]) if pieces else np.zeros(0, np.int16)
    return samples, [word for piece in pieces for word in piece.words]
