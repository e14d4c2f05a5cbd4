"""What the caller sounds like: speech by the embedded eSpeak NG, and noises that are the same every time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.evaluation.scenario import NoisePart
from deploy.evaluation.voice import Voice
from pipeline_worker.engines.espeak_ng.text_to_speech import EspeakTextToSpeechProvider
from pipeline_worker.engines.resampling import resampled
from shared.agent import AgentDefinition, EngineChoice
from shared.audio import Pcm

RATE = 48_000
_SEED = 7
_CLICK_EVERY_S = 0.4
_CLICK_S = 0.004
_BABBLE = (
    (Voice(voice="en-us+f3", rate=170), "And then she told me that nobody had ever seen the other half of the letter."),
    (
        Voice(voice="en-us+m3", rate=150),
        "Two of those over there, and if you still have some, a little of the green one.",
    ),
    (
        Voice(voice="en-us+m7", rate=190),
        "My brother said the train was late again, so we walked along the river instead.",
    ),
    (
        Voice(voice="en-us+f5", rate=160),
        "It was the kind of summer in which everything happens twice, and nothing in time.",
    ),
)

_Samples = NDArray[np.float64]


class Speaker:
    """Speaks with any voice. What was said once is kept."""

    def __init__(self, provider: EspeakTextToSpeechProvider) -> None:
        self._provider = provider
        self._voices: dict[Voice, str] = {}
        self._spoken: dict[tuple[Voice, str], Pcm] = {}
        self._alone = asyncio.Lock()

    async def speech(self, text: str, voice: Voice) -> Pcm:
        """48 kHz mono. Raises `EngineError`, for example for a voice that is not there."""
        async with self._alone:
            if (voice, text) not in self._spoken:
                self._spoken[voice, text] = await self._speak(text, voice)
        return self._spoken[voice, text]

    async def noise(self, noise: NoisePart) -> Pcm:
        """48 kHz mono, as loud as it says; of clicks, that is the level of each."""
        samples = round(noise.duration * RATE)
        random = np.random.default_rng(_SEED)
        match noise.kind:
            case "white":
                return at_level(random.standard_normal(samples), noise.level_db)
            case "click":
                return clicks(random, samples, noise.level_db)
            case "babble":
                return at_level(await self._babble(samples), noise.level_db)

    async def _speak(self, text: str, voice: Voice) -> Pcm:
        caller = self._voices.get(voice)
        if caller is None:
            caller = self._voices[voice] = f"caller-{len(self._voices)}"
            options: dict[str, Any] = {**voice.model_dump(include={"voice", "rate", "pitch"}), "sentence_pause_ms": 200}
            choice = EngineChoice(engine="espeak-ng", options=options)
            self._provider.add(AgentDefinition(id=caller, name="Caller", text_to_speech=choice))
        engine = self._provider.open(caller)
        pieces = [piece.samples async for piece in engine.speak(text)]
        pcm = resampled(np.concatenate(pieces), engine.sample_rate, RATE)
        return pcm if voice.level_db is None else at_level(pcm.astype(np.float64), voice.level_db)

    async def _babble(self, samples: int) -> _Samples:
        together = np.zeros(samples)
        for place, (voice, text) in enumerate(_BABBLE):
            pcm = await self.speech(text, voice)
            together += np.roll(np.resize(pcm, samples), place * RATE // 3)
        return together


@asynccontextmanager
async def speaking() -> AsyncIterator[Speaker]:
    """A speaker with its helper process."""
    provider = EspeakTextToSpeechProvider()
    try:
        yield Speaker(provider)
    finally:
        await provider.close()


def at_level(samples: _Samples, level_db: float) -> Pcm:
    """`samples` at this RMS level, cut where they exceed full scale."""
    rms = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    gain = 32_768 * 10 ** (level_db / 20) / rms if rms else 0.0
    return np.clip(samples * gain, -32_768, 32_767).astype(np.int16)


def clicks(random: np.random.Generator, samples: int, level_db: float) -> Pcm:
    """Short bursts, as of keys or crockery."""
    line = np.zeros(samples, np.int16)
    length = round(_CLICK_S * RATE)
    for at in range(0, samples - length, round(_CLICK_EVERY_S * RATE)):
        line[at : at + length] = at_level(random.standard_normal(length), level_db)
    return line
