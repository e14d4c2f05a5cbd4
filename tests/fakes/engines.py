"""Engines that say what a test scripts, at once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import numpy as np

from pipeline_worker.engines.catalog import Engines
from pipeline_worker.engines.protocols import Entry, Reply, SpeechPiece, Transcript, Word
from shared.audio import Pcm, as_samples
from shared.errors import EngineError

LOUD = 10_000
_UNDERSTOOD_AFTER_PUSHES = 4


class FakeVad:
    """Loud is speech. It answers at once, or when the test calls `answer` if it is `slow`.

    `until_heard` lets a test go on when all it sent was taken.
    """

    chunk_samples = 512
    tail_samples = 0

    def __init__(self, slow: bool = False) -> None:
        self.slow = slow
        self.heard_samples = 0
        self.open_streams = 0
        self.failure: Exception | None = None
        self.waiting: list[Callable[[], None]] = []
        self._heard = asyncio.Event()

    def open(
        self, on_probabilities: Callable[[list[float]], None], on_failure: Callable[[EngineError], None]
    ) -> "FakeVadStream":
        self.open_streams += 1
        return FakeVadStream(self, on_probabilities, on_failure)

    def answer(self) -> None:
        """A push that waits, and its result."""
        while self.waiting:
            self.waiting.pop(0)()

    def hear(self, samples: int) -> None:
        self.heard_samples += samples
        self._heard.set()

    async def until_heard(self, samples: int) -> None:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)  # what the session does of it besides
            while self.heard_samples < samples:
                self._heard.clear()
                await self._heard.wait()


class FakeVadStream:
    def __init__(
        self, vad: FakeVad, on_probabilities: Callable[[list[float]], None], on_failure: Callable[[EngineError], None]
    ) -> None:
        self._vad = vad
        self._on_probabilities = on_probabilities
        self._on_failure = on_failure
        self._rest = b""

    def push(self, pcm: bytes) -> list[float] | None:
        match self._vad.failure:
            case EngineError() as error:
                self._on_failure(error)
                return None
            case Exception() as fault:
                raise fault
        self._vad.hear(len(pcm) // 2)
        self._rest += pcm
        size = 2 * self._vad.chunk_samples
        found = []
        while len(self._rest) >= size:
            chunk, self._rest = as_samples(self._rest[:size]), self._rest[size:]
            found.append(1.0 if np.mean(np.abs(chunk)) > LOUD / 2 else 0.0)
        if not (found and self._vad.slow):
            return found
        self._vad.waiting.append(lambda: self._on_probabilities(found))
        return None

    def close(self) -> None:
        self._vad.open_streams -= 1


class FakeStt:
    """Each utterance is the next of `texts`; an `EngineError` among them is raised, "" is not understood.

    The first word is understood at once, all of them after a few tenths of a second.
    """

    def __init__(self, *texts: str | EngineError) -> None:
        self.texts = list(texts)
        self.heard: list[list[Pcm]] = []
        self.cancelled = 0
        self.open_streams = 0

    def open(self) -> "FakeSttStream":
        self.open_streams += 1
        self.heard.append([])
        return FakeSttStream(self, self.heard[-1])

    async def close(self) -> None: ...


class FakeSttStream:
    def __init__(self, stt: FakeStt, heard: list[Pcm]) -> None:
        self._stt = stt
        self._heard = heard
        self._open = True

    async def push(self, samples: Pcm) -> Transcript | None:
        self._heard.append(samples)
        text = self._stt.texts[0] if self._stt.texts else ""
        if isinstance(text, EngineError) or len(self._heard) not in (1, _UNDERSTOOD_AFTER_PUSHES):
            return None
        return Transcript(text.partition(" ")[0] if len(self._heard) == 1 else text, False)

    async def finish(self) -> Transcript:
        self._close()
        text = self._stt.texts.pop(0) if self._stt.texts else ""
        if isinstance(text, EngineError):
            raise text
        return Transcript(text, True)

    async def cancel(self) -> None:
        self._stt.cancelled += self._open
        self._close()

    def _close(self) -> None:
        self._stt.open_streams -= self._open
        self._open = False


class FakeLm:
    """Answers with the next of `answers`, piece by piece; `may_answer` holds it back in the middle of a thought."""

    def __init__(self, *answers: Sequence[Reply] | EngineError) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[Entry]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.active = 0
        self.closed = False

    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        self.asked.append(conversation)
        answer = self.answers.pop(0) if self.answers else [Reply("Yes.")]
        self.active += 1
        try:
            assert self.active == 1, "two replies at once"
            await self.may_answer.wait()
            if isinstance(answer, EngineError):
                raise answer
            for piece in answer:
                yield piece
        finally:
            self.active -= 1

    async def close(self) -> None:
        self.closed = True


class FakeTts:
    """Every word takes a quarter of a second. `failure` is raised after the first word, `fails` times."""

    sample_rate = 16_000
    word_samples = 4_000

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.failure: Exception | None = None
        self.fails = 1_000_000

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        self.spoken.append(text)
        for index, word in enumerate(text.split()):
            if index and self.failure is not None and self.fails:
                self.fails -= 1
                raise self.failure
            samples = np.full(self.word_samples, LOUD, dtype=np.int16)
            yield SpeechPiece(samples, (Word(word, (index + 1) * self.word_samples),))

    async def close(self) -> None: ...


class FakeEngines:
    """One of each. Stands in for the catalog: every session gets the same."""

    def __init__(self) -> None:
        self.vad = FakeVad()
        self.stt = FakeStt()
        self.lm = FakeLm()
        self.tts = FakeTts()

    def open(self, agent_id: str) -> Engines:
        return Engines(self.vad, self.stt, self.lm, self.tts)
