"""The caller's voice: speech by the embedded eSpeak NG."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline_worker.engines.espeak_ng.text_to_speech import EspeakTextToSpeechProvider
from pipeline_worker.engines.resampling import resampled
from shared.agent import AgentDefinition, EngineChoice
from shared.audio import Pcm

RATE = 48_000

VoiceName = Annotated[str, Field(pattern=r"^[\w+/ -]{1,60}$")]
Rate = Annotated[int, Field(ge=80, le=450, description="words per minute")]
Pitch = Annotated[int, Field(ge=0, le=99)]
Level = Annotated[float, Field(ge=-80, le=-3, description="dB relative to full scale")]


class Voice(BaseModel):
    """A voice of eSpeak NG. Without a level, its loudness is left as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voice: VoiceName = "en-us"
    rate: Rate = 150
    pitch: Pitch = 50
    level_db: Level | None = None


class Synthesizer:
    """Speaks with any voice. Keeps what it has spoken."""

    def __init__(self, provider: EspeakTextToSpeechProvider) -> None:
        self._provider = provider
        self._voices: dict[Voice, str] = {}
        self._spoken: dict[tuple[Voice, str], Pcm] = {}
        self._lock = asyncio.Lock()

    async def speech(self, text: str, voice: Voice) -> Pcm:
        """48 kHz mono. Raises `EngineError`, for example if there is no such voice."""
        async with self._lock:
            if (voice, text) not in self._spoken:
                self._spoken[voice, text] = await self._speak(text, voice)
        return self._spoken[voice, text]

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


@asynccontextmanager
async def synthesizer() -> AsyncIterator[Synthesizer]:
    """A synthesizer with its helper process."""
    provider = EspeakTextToSpeechProvider()
    try:
        yield Synthesizer(provider)
    finally:
        await provider.close()


def at_level(samples: NDArray[np.float64], level_db: float) -> Pcm:
    """`samples` at this RMS level, clipped at full scale."""
    rms = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    gain = 32_768 * 10 ** (level_db / 20) / rms if rms else 0.0
    return np.clip(samples * gain, -32_768, 32_767).astype(np.int16)
