"""Sentences with pauses, as PCM and as the packets of a browser, and their recognition."""

import asyncio
import ctypes
import functools
from typing import NamedTuple

import numpy as np

from media_worker import opus
from media_worker.core.decode_plan import DTX_PAYLOAD
from pipeline_worker.engines.piper.text_to_speech import PiperTextToSpeechProvider
from pipeline_worker.engines.resampling import resampled
from shared.agent import AgentDefinition
from shared.audio import Pcm, as_samples
from tests.integration.speech import heard_words, most_like

RATE = 16_000
FRAME = RATE // 50
_PEOPLE = ["two", "three", "four", "five", "seven", "ten"]
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_HOURS = ["four", "five", "six", "seven", "ten"]
_SENTENCES = [f"a table for {p} people on {d} at {h}" for p in _PEOPLE for d in _DAYS for h in _HOURS]
"""Words that are easily confused, so that damage shows. All are understood undamaged. "At eight" and "at nine" are
missing because the recogniser does not understand them in this voice."""
_PAUSE_S = 0.6
_LEAD_S = 0.2
_NOISE = 26.0
_DTX_REFRESH_FRAMES = 20

_VOIP, _MONO = 2048, 1
_SET_DTX = 4016
_SETTINGS = {4002: 24_000, 4004: 1103, 4010: 9, 4012: 1, 4014: 5}
"""24 kb/s, wideband and in-band FEC, as our answer asks a browser for; complexity 9, 5 % expected loss.
A browser learns the loss from our receiver reports. Until then, its packets carry no FEC (opus_defines.h)."""


class Sentence(NamedTuple):
    words: str
    first_sample: int
    end_sample: int


class Dictation(NamedTuple):
    pcm: Pcm
    """16 kHz mono with room noise."""
    sentences: list[Sentence]


@functools.cache
def dictation(count: int) -> Dictation:
    """The first `count` sentences of a fixed order."""
    texts = [_text(index) for index in range(count)]
    speech = asyncio.run(_spoken(texts))
    pieces: list[Pcm] = []
    sentences, at = [], 0
    for text, pcm in zip(texts, speech, strict=True):
        padded = np.pad(pcm, (int(_LEAD_S * RATE), int((_PAUSE_S - _LEAD_S) * RATE)))
        padded = np.pad(padded, (0, -len(padded) % FRAME))
        sentences.append(Sentence(text, at, at + len(padded)))
        pieces.append(padded)
        at += len(padded)
    line = np.concatenate(pieces)
    noise = np.random.default_rng(1).standard_normal(len(line)) * _NOISE
    pcm = np.clip(line * 0.7 + noise, -32_768, 32_767).astype(np.int16)
    return Dictation(pcm, sentences)


def recognised(pcm: Pcm) -> list[str]:
    """The words of the possible sentence that resembles the recognised one most. `pcm` is 16 kHz."""
    return most_like(heard_words(pcm), _SENTENCES).split()


def _text(index: int) -> str:
    day, hour = _DAYS[index * 3 % len(_DAYS)], _HOURS[index * 2 % len(_HOURS)]
    return f"a table for {_PEOPLE[index % len(_PEOPLE)]} people on {day} at {hour}"


async def _spoken(texts: list[str]) -> list[Pcm]:
    """In the natural voice of the default agent. Of a synthetic one the recogniser loses sentences by chance."""
    agent = AgentDefinition(id="dictation", name="Dictation")
    provider = PiperTextToSpeechProvider()
    provider.add(agent)
    try:
        await provider.start()
        voice = provider.open(agent.id)
        spoken = [[piece.samples async for piece in voice.speak(f"{text.capitalize()}.")] for text in texts]
        return [resampled(np.concatenate(pieces), voice.sample_rate, RATE) for pieces in spoken]
    finally:
        await provider.close()


class Packets(NamedTuple):
    """One payload per 20 ms, None where a browser sends nothing (DTX), and their sound without loss."""

    payloads: list[bytes | None]
    decoded: Pcm


@functools.cache
def browser_voice(count: int, dtx: bool = True) -> Packets:
    """`dictation(count)` as Chromium sends it, with DTX as our answer asks for, or without."""
    frames = dictation(count).pcm.reshape(-1, FRAME)
    decoder, silence = opus.Decoder(), np.zeros(FRAME, np.int16)
    payloads: list[bytes | None] = []
    decoded: list[Pcm] = []
    quiet = 0
    for payload in _encoded(frames, dtx):
        quiet = quiet + 1 if len(payload) <= DTX_PAYLOAD else 0
        is_sent = quiet % _DTX_REFRESH_FRAMES in (0, 1)
        payloads.append(payload if is_sent else None)
        decoded.append(silence if quiet else as_samples(decoder.decode(payload)))
    return Packets(payloads, np.concatenate(decoded))


def _encoded(frames: Pcm, dtx: bool) -> list[bytes]:
    library = ctypes.CDLL(opus.library_path())
    library.opus_encoder_create.restype = ctypes.c_void_p
    error = ctypes.c_int()
    encoder = ctypes.c_void_p(library.opus_encoder_create(RATE, _MONO, _VOIP, ctypes.byref(error)))
    try:
        for request, value in (_SETTINGS | {_SET_DTX: dtx}).items():
            if library.opus_encoder_ctl(encoder, request, ctypes.c_int(value)):
                raise RuntimeError(f"libopus refused setting {request} = {value}")
        target = (ctypes.c_ubyte * 1_275)()
        packets = []
        for frame in frames:
            pcm = frame.ctypes.data_as(ctypes.c_void_p)
            size = library.opus_encode(encoder, pcm, FRAME, target, len(target))
            packets.append(bytes(target[:size]))
        return packets
    finally:
        library.opus_encoder_destroy(encoder)
