"""Engines that fail as a test scripts: each answer is a row of outputs, waits in seconds, and errors."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

import numpy as np

from pipeline_worker.engines.protocols import Entry, Reply, SpeechPiece, Transcript
from shared.audio import Pcm

T = TypeVar("T")


class Performance:
    """Performs rows of steps, one after the other; the last one is repeated."""

    def __init__(self, rows: Sequence[Sequence[object]]) -> None:
        self._rows = list(rows)
        self.asked = 0
        self.closed = 0

    async def next_row(self, kind: type[T]) -> AsyncGenerator[T, None]:
        row = self._rows[min(self.asked, len(self._rows) - 1)]
        self.asked += 1
        try:
            for step in row:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                else:
                    assert isinstance(step, kind)
                    yield step
        finally:
            self.closed += 1


class UnreliableLm(Performance):
    """Rows of `Reply`."""

    def __init__(self, *rows: Sequence[object]) -> None:
        super().__init__(rows)
        self.conversations: list[Sequence[Entry]] = []
        self.is_closed = False

    def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        self.conversations.append(conversation)
        return self.next_row(Reply)

    async def close(self) -> None:
        self.is_closed = True


class UnreliableTts(Performance):
    """Rows of `SpeechPiece`."""

    def __init__(self, *rows: Sequence[object], sample_rate: int = 24_000) -> None:
        super().__init__(rows)
        self.sample_rate = sample_rate
        self.texts: list[str] = []

    def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        self.texts.append(text)
        return self.next_row(SpeechPiece)

    async def close(self) -> None: ...


class UnreliableStt:
    """`pushes` and `final` are one row for every utterance: each push takes the next step, and the last step again."""

    def __init__(self, pushes: Sequence[object], final: object, opening: Exception | None = None) -> None:
        self.pushes = pushes
        self.final = final
        self.opening = opening
        self.heard: list[Pcm] = []
        self.opened = 0
        self.ended = 0

    def open(self) -> "UnreliableSttStream":
        if self.opening is not None:
            raise self.opening
        self.opened += 1
        return UnreliableSttStream(self)

    async def close(self) -> None: ...

    @property
    def samples(self) -> list[int]:
        """What was heard, where each piece is filled with one value."""
        return [int(piece[0]) for piece in self.heard]


class UnreliableSttStream:
    def __init__(self, stt: UnreliableStt) -> None:
        self._stt = stt
        self._pushed = 0
        self._over = False

    async def push(self, samples: Pcm) -> Transcript | None:
        step = self._stt.pushes[min(self._pushed, len(self._stt.pushes) - 1)] if self._stt.pushes else None
        self._pushed += 1
        understood = await _perform(step)
        self._stt.heard.append(samples)
        return understood

    async def finish(self) -> Transcript:
        final = await _perform(self._stt.final)
        assert final is not None
        await self.cancel()
        return final

    async def cancel(self) -> None:
        self._stt.ended += not self._over
        self._over = True


async def _perform(step: object) -> Transcript | None:
    if isinstance(step, Exception):
        raise step
    if isinstance(step, int | float):
        await asyncio.sleep(step)
    return step if isinstance(step, Transcript) else None


def sound(samples: int, value: int = 1000) -> Pcm:
    return np.full(samples, value, dtype=np.int16)
