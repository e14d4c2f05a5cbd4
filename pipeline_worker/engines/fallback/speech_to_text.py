"""Speech to text with a fallback, which gets the whole utterance."""

import asyncio
from collections import deque

from pipeline_worker.engines.guard import Guarded
from pipeline_worker.engines.protocols import SpeechToText, SpeechToTextStream, Transcript
from shared.audio import UPLINK_RATE, Pcm
from shared.errors import EngineError

_KEPT_SAMPLES = 60 * UPLINK_RATE
"""The last minute of an utterance is kept for the fallback: 1.9 MB."""


class FallbackSpeechToText:
    """Shared by the sessions of an agent."""

    def __init__(self, first: Guarded[SpeechToText], fallback: Guarded[SpeechToText] | None = None) -> None:
        self._first = first
        self._fallback = fallback

    def open(self) -> "FallbackStream":
        if self._fallback is None or self._first.guard.admits():
            return FallbackStream(self._first, self._fallback)
        self._first.guard.count_fallback()
        return FallbackStream(self._fallback)

    async def close(self) -> None:
        """Closed with its provider."""


class FallbackStream:
    """One utterance."""

    def __init__(self, first: Guarded[SpeechToText], fallback: Guarded[SpeechToText] | None = None) -> None:
        self._engine, self._guard = first
        self._fallback = fallback
        self._stream: SpeechToTextStream | None = None
        self._kept: deque[Pcm] = deque()
        self._kept_samples = 0

    async def push(self, samples: Pcm) -> Transcript | None:
        if self._fallback is not None:
            self._keep(samples)
        try:
            return await self._guard.answer((self._stream or self._open()).push(samples))
        except EngineError as error:
            return await self._fall_back(error)

    async def finish(self) -> Transcript:
        asked_at = asyncio.get_running_loop().time()
        try:
            transcript = await self._guard.answer((self._stream or self._open()).finish())
        except EngineError as error:
            await self._fall_back(error)
            return await self.finish()
        self._guard.observe_first_output(asyncio.get_running_loop().time() - asked_at)
        self._guard.succeeded()
        return transcript

    async def cancel(self) -> None:
        self._kept.clear()
        if self._stream is not None:
            await self._guard.let_go(self._stream.cancel())

    def _open(self) -> SpeechToTextStream:
        with self._guard.judged(0.0):
            self._stream = self._engine.open()
        return self._stream

    async def _fall_back(self, error: EngineError) -> Transcript | None:
        """Replays the utterance to the fallback. Returns its interim transcript; raises `error` without a fallback."""
        if self._stream is not None:
            await self._guard.let_go(self._stream.cancel())
        fallback, self._fallback = self._fallback, None
        if fallback is None:
            raise error
        self._guard.count_fallback()
        self._stream = None
        self._engine, self._guard = fallback
        interim = None
        while self._kept:
            interim = await self.push(self._kept.popleft()) or interim
        return interim

    def _keep(self, samples: Pcm) -> None:
        self._kept.append(samples)
        self._kept_samples += len(samples)
        while self._kept_samples > _KEPT_SAMPLES:
            self._kept_samples -= len(self._kept.popleft())
