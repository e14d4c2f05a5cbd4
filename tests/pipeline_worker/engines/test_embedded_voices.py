"""The embedded voices by ear: they pause where a sentence ends, and nowhere else."""

from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.espeak import text_to_speech as espeak
from pipeline_worker.engines.piper import text_to_speech as piper
from shared.agent import AgentDefinition
from shared.audio import Pcm

_SILENCE = 300
"""-41 dBFS, below which a voice only breathes."""


def longest_pause_ms(speech: Pcm, rate: int) -> int:
    """The longest stretch without a sound, between the first sound and the last."""
    window = rate // 100
    levels = np.abs(speech[: len(speech) // window * window].astype(int)).reshape(-1, window).max(axis=1)
    return int(np.diff(np.flatnonzero(levels > _SILENCE)).max() - 1) * 10


@pytest.mark.parametrize(("engine", "provider"), [("piper", piper.Provider), ("espeak-ng", espeak.Provider)])
async def test_a_voice_does_not_pause_at_abbreviations(engine: str, provider: Any) -> None:
    voices = provider()
    voices.add(AgentDefinition.model_validate({"id": "a", "name": "A", "text_to_speech": {"engine": engine}}))
    await voices.start()
    try:
        voice = voices.open("a")
        pauses_ms, words = {}, {}
        for text in (
            "Meet J. Smith at St. Mary today.",
            "Meet J Smith at St Mary today.",
            "Meet J Smith. At Saint Mary today.",
        ):
            pieces = [piece async for piece in voice.speak(text)]
            speech = np.concatenate([piece.samples for piece in pieces])
            pauses_ms[text] = longest_pause_ms(speech, voice.sample_rate)
            words[text] = [word.text for piece in pieces for word in piece.words]
        with_stops, without, two_sentences = pauses_ms.values()
        assert with_stops < 150
        assert without < 150
        assert two_sentences > 200
        assert all(said == text.split() for text, said in words.items())
    finally:
        await voices.close()
