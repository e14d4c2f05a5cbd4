"""What the tests of vendors' speech have in common."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import numpy as np

from pipeline_worker.engines.protocols import SpeechPiece, TextToSpeech, Word
from shared.audio import Pcm
from tests.fakes.vendor_server import Fault, VendorServer

TEXT = "We open at seven, what else?"

REFUSALS = [
    (400, "engine_refused"),
    (403, "engine_key_refused"),
    (429, "engine_busy"),
    (503, "engine_unavailable"),
]
FAULTS: list[tuple[Fault, str]] = [
    ("close", "engine_broken"),
    ("close_midway", "engine_broken"),
    ("malformed", "engine_broken"),
    ("silence", "engine_broken"),
]
STALLS: list[tuple[Fault, int]] = [("stall", 0), ("stall_midway", 1)]
"""And how many pieces come first, at most."""


async def spoken(tts: TextToSpeech, text: str = TEXT) -> tuple[Pcm, list[Word]]:
    pieces = [piece async for piece in tts.speak(text)]
    assert all(len(piece.samples) for piece in pieces)
    samples = np.concatenate([piece.samples for piece in pieces]) if pieces else np.zeros(0, np.int16)
    return samples, [word for piece in pieces for word in piece.words]


async def stopped_midway(tts: TextToSpeech) -> SpeechPiece:
    """The first piece; then the listener goes away."""
    async with aclosing(cast(AsyncGenerator[SpeechPiece, None], tts.speak(TEXT))) as pieces:
        return await anext(pieces)


async def until_given_up(tts: TextToSpeech, server: VendorServer, most_pieces: int) -> None:
    """As a deadline would, while the vendor says nothing (any more)."""
    given = 0
    listening = asyncio.Event()

    async def listen() -> None:
        nonlocal given
        async with aclosing(cast(AsyncGenerator[SpeechPiece, None], tts.speak(TEXT))) as pieces:
            async for _ in pieces:
                given += 1
                listening.set()

    task = asyncio.create_task(listen())
    await server.until(lambda: bool(server.spoken))
    if most_pieces:
        await listening.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert given <= most_pieces
