"""Sentences with pauses: as PCM, as a browser's packets, and back to words."""

import asyncio
import ctypes
import functools
from typing import NamedTuple

import numpy as np

from media_worker import opus
from media_worker.core.decode_plan import DTX_PAYLOAD
from shared.audio import Pcm, as_samples
from tests.integration.speech import heard_words, most_like, resampled, voice

RATE = 16_000
FRAME = RATE // 50
_PEOPLE = ["two", "three", "four", "five", "seven", "ten"]
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_HOURS = ["four", "five", "six", "seven", "ten"]
_SENTENCES = [f"a table for {p} people on {d} at {h}" for p in _PEOPLE for d in _DAYS for h in _HOURS]
"""Words that are easily taken for one another, so that a damaged sound shows. Undamaged all are understood: "at eight"
and "at nine" in this voice are not."""
_PAUSE_S = 0.6
_LEAD_S = 0.2
_NOISE = 26.0
_DTX_REFRESH_FRAMES = 20

_VOIP, _MONO = 2048, 1
_SET_DTX = 4016
_SETTINGS = {4002: 24_000, 4004: 1103, 4010: 9, 4012: 1, 4014: 5}
"""What our answer asks a browser for: 24 kb/s, wideband and in-band FEC (and DTX); complexity 9, 5 % loss expected.
A browser learns the loss from our receiver reports; before it does, its packets carry no FEC (opus_defines.h)."""


class Sentence(NamedTuple):
    words: str
    first_sample: int
    end_sample: int


class Dictation(NamedTuple):
    pcm: Pcm
    """16 kHz mono with a room's noise."""
    sentences: list[Sentence]


@functools.cache
def dictation(count: int) -> Dictation:
    """The first `count` sentences of an order that is always the same."""
    texts = [_text(index) for index in range(count)]
    pieces: list[Pcm] = []
    sentences, at = [], 0
    for text, spoken in zip(texts, asyncio.run(_spoken(texts)), strict=True):
        padded = np.pad(spoken, (int(_LEAD_S * RATE), int((_PAUSE_S - _LEAD_S) * RATE)))
        padded = np.pad(padded, (0, -len(padded) % FRAME))
        sentences.append(Sentence(text, at, at + len(padded)))
        pieces.append(padded)
        at += len(padded)
    line = np.concatenate(pieces)
    noise = np.random.default_rng(1).standard_normal(len(line)) * _NOISE
    pcm = np.clip(line * 0.7 + noise, -32_768, 32_767).astype(np.int16)
    return Dictation(pcm, sentences)


def recognised(pcm: Pcm) -> list[str]:
    """Words of one sentence (16 kHz): of those that may be said, the one that is most like what was heard."""
    return most_like(heard_words(pcm, RATE), _SENTENCES).split()


def _text(index: int) -> str:
    day, hour = _DAYS[index * 3 % len(_DAYS)], _HOURS[index * 2 % len(_HOURS)]
    return f"a table for {_PEOPLE[index % len(_PEOPLE)]} people on {day} at {hour}"


async def _spoken(texts: list[str]) -> list[Pcm]:
    async with voice("en-us") as engine:
        return [
            resampled(
                np.concatenate([piece.samples async for piece in engine.speak(f"{text}.")]), engine.sample_rate, RATE
            )
            for text in texts
        ]


class Packets(NamedTuple):
    """One per 20 ms, None where a browser sends nothing (DTX), and what they sound like when all arrive."""

    payloads: list[bytes | None]
    decoded: Pcm


@functools.cache
def browser_voice(count: int, dtx: bool = True) -> Packets:
    """`dictation(count)` as Chromium sends it after our answer, or after one that does not ask for DTX."""
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
