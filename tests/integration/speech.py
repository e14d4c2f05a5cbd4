"""What a caller says, and what words were in what it heard."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import numpy as np
import pocketsphinx
import soxr

from pipeline_worker.engines.espeak_tts import EspeakTextToSpeech, Provider
from shared.agent import AgentDefinition, EngineChoice
from shared.audio import Pcm

CALLER_RATE = 48_000
_RECOGNISER_RATE = 16_000


@contextlib.asynccontextmanager
async def voice(name: str = "en-gb-x-rp", rate: int = 150) -> AsyncIterator[EspeakTextToSpeech]:
    """The product's own engine with another voice than the agent's."""
    choice = EngineChoice(engine="espeak-ng", options={"voice": name, "rate": rate})
    provider = Provider()
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


def best_match(heard: Pcm, phrases: list[str]) -> str:
    """Which of `phrases` the 48 kHz audio holds, by a recogniser that knows only these; empty if none."""
    pcm = resampled(heard, CALLER_RATE, _RECOGNISER_RATE)
    rules = " | ".join(phrases)
    with tempfile.TemporaryDirectory() as folder:
        grammar = Path(folder) / "phrases.gram"
        grammar.write_text(f"#JSGF V1.0;\ngrammar phrases;\npublic <phrase> = {rules};\n", encoding="ascii")
        decoder = pocketsphinx.Decoder(lm=None, jsgf=str(grammar), loglevel="FATAL")
        decoder.start_utt()
        decoder.process_raw(pcm.tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
    return found.hypstr if found else ""
