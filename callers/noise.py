"""Noises around the caller, the same every time. All are 48 kHz mono."""

from typing import Literal

import numpy as np

from callers.voice import RATE, Synthesizer, Voice, at_level
from shared.audio import Pcm

NoiseKind = Literal["white", "babble", "click"]

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


async def noise(kind: NoiseKind, duration_s: float, level_db: float, synthesizer: Synthesizer) -> Pcm:
    """`level_db` is the RMS level of the whole, or of each click. Raises `EngineError`."""
    samples = round(duration_s * RATE)
    random = np.random.default_rng(_SEED)
    match kind:
        case "white":
            return at_level(random.standard_normal(samples), level_db)
        case "click":
            return _clicks(random, samples, level_db)
        case "babble":
            return await _babble(samples, level_db, synthesizer)


def _clicks(random: np.random.Generator, samples: int, level_db: float) -> Pcm:
    """Short bursts, as of keys or crockery."""
    line = np.zeros(samples, np.int16)
    length = round(_CLICK_S * RATE)
    for at in range(0, samples - length, round(_CLICK_EVERY_S * RATE)):
        line[at : at + length] = at_level(random.standard_normal(length), level_db)
    return line


async def _babble(samples: int, level_db: float, synthesizer: Synthesizer) -> Pcm:
    mixed = np.zeros(samples)
    for place, (voice, text) in enumerate(_BABBLE):
        pcm = await synthesizer.speech(text, voice)
        mixed += np.roll(np.resize(pcm, samples), place * RATE // 3)
    return at_level(mixed, level_db)
