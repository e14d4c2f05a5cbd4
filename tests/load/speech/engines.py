"""The engines under test, as a worker uses them: providers with their helper processes, and the room around speech."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, cast

import numpy as np
import psutil
import soxr

from pipeline_worker.engines.espeak_ng import text_to_speech as espeak_tts
from pipeline_worker.engines.moonshine import speech_to_text as moonshine_stt
from pipeline_worker.engines.piper import text_to_speech as piper_tts
from pipeline_worker.engines.protocols import SpeechToText, TextToSpeech
from shared.agent import AgentDefinition, EngineChoice
from shared.audio import UPLINK_RATE, Pcm, samples_in

_NOISE = 26.0
"""RMS of the room's noise: -62 dBFS."""
_LEVEL = 0.7
_SILENCE = 100
"""-50 dBFS."""
_PIECE = samples_in(100, UPLINK_RATE)


class Spoken(NamedTuple):
    """16 kHz, from the first sound to the last. `word_ends_s` counts from the beginning."""

    pcm: Pcm
    word_ends_s: Sequence[float]

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / UPLINK_RATE


class Helped(NamedTuple):
    """An engine and the processes that do its work."""

    engine: Any
    pids: list[int]


@contextlib.asynccontextmanager
async def recogniser() -> AsyncIterator[Helped]:
    async with _serving(
        moonshine_stt.MoonshineSpeechToTextProvider(), AgentDefinition(id="ears", name="Ears")
    ) as helped:
        yield helped


@contextlib.asynccontextmanager
async def piper() -> AsyncIterator[Helped]:
    async with _serving(piper_tts.PiperTextToSpeechProvider(), AgentDefinition(id="mouth", name="Mouth")) as helped:
        yield helped


@contextlib.asynccontextmanager
async def espeak(voice: str, rate: int) -> AsyncIterator[Helped]:
    choice = EngineChoice(engine="espeak-ng", options={"voice": voice, "rate": rate})
    agent = AgentDefinition(id="mouth", name="Mouth", text_to_speech=choice)
    async with _serving(espeak_tts.EspeakTextToSpeechProvider(), agent) as helped:
        yield helped


@contextlib.asynccontextmanager
async def _serving(provider: Any, agent: AgentDefinition) -> AsyncIterator[Helped]:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(provider.close)
        provider.add(agent)
        await provider.start()
        yield Helped(provider.open(agent.id), provider.helper_pids)


async def say(voice: TextToSpeech, text: str) -> Spoken:
    pieces = [piece async for piece in voice.speak(text)]
    samples = np.concatenate([piece.samples for piece in pieces])
    pcm = cast(Pcm, soxr.resample(samples.astype(np.float32), voice.sample_rate, UPLINK_RATE).astype(np.int16))
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > _SILENCE)
    first, end = int(loud[0]), int(loud[-1]) + 1
    ends_s = [
        max(0.0, word.end_sample / voice.sample_rate - first / UPLINK_RATE) for piece in pieces for word in piece.words
    ]
    return Spoken(pcm[first:end], ends_s)


def in_a_room(pcm: Pcm, before_ms: int = 300, after_ms: int = 300) -> Pcm:
    """At a caller's level, in noise, with a little of it on each side."""
    sides = samples_in(before_ms, UPLINK_RATE), samples_in(after_ms, UPLINK_RATE)
    noise = np.random.default_rng(len(pcm)).standard_normal(len(pcm) + sum(sides)) * _NOISE
    return cast(Pcm, np.clip(np.pad(pcm * _LEVEL, sides) + noise, -32_768, 32_767).astype(np.int16))


async def understood(ears: SpeechToText, spoken: Spoken) -> str:
    """The final text, as fast as possible."""
    stream = ears.open()
    pcm = in_a_room(spoken.pcm)
    for start in range(0, len(pcm), _PIECE):
        await stream.push(pcm[start : start + _PIECE])
    return (await stream.finish()).text


def cpu_s(pids: Sequence[int]) -> float:
    """What the processes have used of the processor."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user + each.system for each in times)
