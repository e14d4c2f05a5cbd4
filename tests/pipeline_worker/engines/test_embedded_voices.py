"""What the two embedded voices have in common, each in a real helper process."""

import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from pipeline_worker.engines.espeak_ng.text_to_speech import EspeakTextToSpeechProvider
from pipeline_worker.engines.piper.text_to_speech import PiperTextToSpeechProvider
from pipeline_worker.engines.protocols import TextToSpeech, Word
from shared.agent import AgentDefinition
from shared.audio import Pcm
from shared.errors import EngineError

pytestmark = pytest.mark.asyncio(loop_scope="module")

Provider = PiperTextToSpeechProvider | EspeakTextToSpeechProvider
_SILENCE = 300
"""-41 dBFS, below which a voice only breathes."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["piper", "espeak-ng"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    provider: Provider = PiperTextToSpeechProvider() if request.param == "piper" else EspeakTextToSpeechProvider()
    tts = {"engine": request.param}
    provider.add(AgentDefinition.model_validate({"id": "desk", "name": "Desk", "text_to_speech": tts}))
    await provider.start()
    yield provider
    await provider.close()
    await provider.close()
    with pytest.raises(EngineError):
        await spoken(provider.open("desk"), "Hello.")


async def spoken(tts: TextToSpeech, text: str) -> tuple[Pcm, list[Word]]:
    pieces = [piece async for piece in tts.speak(text)]
    samples = np.concatenate([np.zeros(0, np.int16), *(piece.samples for piece in pieces)])
    return samples, [word for piece in pieces for word in piece.words]


@pytest.mark.parametrize(
    ("text", "shortest_ms", "longest_ms"),
    [
        ("Meet J. Smith at St. Mary today.", 0, 150),
        ("Meet J Smith at St Mary today.", 0, 150),
        ("Meet J Smith. At St Mary today.", 200, 600),
    ],
)
async def test_it_pauses_at_the_end_of_a_sentence_and_not_at_abbreviations(
    provider: Provider, text: str, shortest_ms: int, longest_ms: int
) -> None:
    """Measures the longest silence between the first sound and the last."""
    speech, words = await spoken(provider.open("desk"), text)
    assert [word.text for word in words] == text.split()
    levels = np.abs(speech[: len(speech) // 240 * 240].astype(int)).reshape(-1, 240).max(axis=1)
    pause_ms = (np.diff(np.flatnonzero(levels > _SILENCE)).max() - 1) * 10
    assert shortest_ms <= pause_ms < longest_ms


async def test_it_begins_at_once_is_loud_enough_and_does_not_clip(provider: Provider) -> None:
    speech, _ = await spoken(provider.open("desk"), "Good evening, what can I do for you?")
    level = np.abs(speech.astype(int))
    assert np.flatnonzero(level > 66)[0] < 35 * 24
    assert 8_000 < level.max() < 32_767


async def test_a_helper_that_was_killed_is_not_noticed_by_the_next_text(provider: Provider) -> None:
    await spoken(provider.open("desk"), "Hello.")
    [pid] = provider.helper_pids
    os.kill(pid, signal.SIGKILL)
    assert len((await spoken(provider.open("desk"), "Hello."))[0])
    assert provider.helper_pids != [pid]
