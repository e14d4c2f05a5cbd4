"""Speech to text that answers in time, by its fallback if need be, which then hears the same utterance."""

import asyncio
from collections import deque

from pipeline_worker.engines.guard import EngineGuard, Guarded
from pipeline_worker.engines.protocols import SpeechToText, SpeechToTextStream, Transcript
from shared.audio import UPLINK_RATE, Pcm
from shared.errors import EngineError

_KEPT_SAMPLES = 60 * UPLINK_RATE
"""A minute of an utterance is kept for the fallback: 1.9 MB. Of a longer one it hears the last minute."""


class FallbackSpeechToText:
    """Shared by the sessions of an agent."""

    def __init__(self, first: Guarded[SpeechToText], fallback: Guarded[SpeechToText] | None = None) -> None:
        self._first = first
        self._fallback = fallback

    def open(self) -> "FallbackStream":
        if self._fallback is None or self._first.guard.admits():
            return FallbackStream(self._first, self._fallback)
        self._first.guard.stood_in_for()
        return FallbackStream(self._fallback)

    async def close(self) -> None:
        """Closed with its provider."""


class FallbackStream:
    """One utterance."""

    def __init__(self, first: Guarded[SpeechToText], fallback: Guarded[SpeechToText] | None = None) -> None:
        self._current = _GuardedStream(first)
        self._fallback = fallback
        self._kept: deque[Pcm] = deque()
        self._kept_samples = 0

    async def push(self, samples: Pcm) -> Transcript | None:
        if self._fallback is not None:
            self._keep(samples)
        try:
            return await self._current.push(samples)
        except EngineError as error:
            return await self._fall_back(error)

    async def finish(self) -> Transcript:
        try:
            return await self._current.finish()
        except EngineError as error:
            await self._fall_back(error)
        return await self.finish()

    async def cancel(self) -> None:
        self._kept.clear()
        await self._current.cancel()

    async def _fall_back(self, error: EngineError) -> Transcript | None:
        """Give what was said so far to the fallback, if there is one; what it makes of it."""
        await self._current.cancel()
        fallback, self._fallback = self._fallback, None
        if fallback is None:
            raise error
        self._current.guard.stood_in_for()
        self._current = _GuardedStream(fallback)
        understood = None
        while self._kept:
            understood = await self._current.push(self._kept.popleft()) or understood
        return understood

    def _keep(self, samples: Pcm) -> None:
        self._kept.append(samples)
        self._kept_samples += len(samples)
        while self._kept_samples > _KEPT_SAMPLES:
            self._kept_samples -= len(self._kept.popleft())


class _GuardedStream:
    def __init__(self, stt: Guarded[SpeechToText]) -> None:
        self._stt = stt
        self._stream: SpeechToTextStream | None = None

    @property
    def guard(self) -> EngineGuard:
        return self._stt.guard

    async def push(self, samples: Pcm) -> Transcript | None:
        return await self.guard.answer(self._push(samples))

    async def finish(self) -> Transcript:
        asked_at = asyncio.get_running_loop().time()
        recognised = await self.guard.answer(self._finish())
        self.guard.observe_first_output(asyncio.get_running_loop().time() - asked_at)
        self.guard.succeeded()
        return recognised

    async def cancel(self) -> None:
        if self._stream is not None:
            await self.guard.let_go(self._stream.cancel())

    async def _push(self, samples: Pcm) -> Transcript | None:
        return await self._opened().push(samples)

    async def _finish(self) -> Transcript:
        return await self._opened().finish()

    def _opened(self) -> SpeechToTextStream:
        if self._stream is None:
            self._stream = self._stt.engine.open()
        return self._stream
