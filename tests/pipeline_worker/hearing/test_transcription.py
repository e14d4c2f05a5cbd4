import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import structlog

from pipeline_worker.hearing.transcription import Transcription
from shared.audio import Pcm
from shared.errors import EngineError
from tests.fakes.engines import FakeStt


def sound(samples: int) -> Pcm:
    return np.ones(samples, dtype=np.int16)


class Listener:
    def __init__(self, stt: FakeStt) -> None:
        self.told: list[object] = []
        self._changed = asyncio.Event()
        self.transcription = Transcription(
            stt,
            lambda interim: self._tell(interim.text),
            lambda final: self._tell((final.utterance, "<failed>" if final.failed else final.text)),
            self._tell_failure,
        )
        self._task = asyncio.create_task(self.transcription.run())

    def _tell(self, what: object) -> None:
        self.told.append(what)
        self._changed.set()

    def _tell_failure(self, error: EngineError) -> None:
        self._tell(error.code)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    async def until_told(self, count: int) -> None:
        await self.until(lambda: len(self.told) >= count)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def start(stt: FakeStt) -> Listener:
        listeners.append(Listener(stt))
        return listeners[-1]

    yield start
    for listener in listeners:
        await listener.stop()


async def test_an_utterance_is_pushed_in_tenths_of_a_second_and_nothing_of_it_is_lost(
    listen: Callable[..., Listener],
) -> None:
    stt = FakeStt("when do you open")
    listener = listen(stt)
    listener.transcription.begin(1, sound(5000))
    for _ in range(12):
        listener.transcription.push(sound(320))
    listener.transcription.finish(1)
    await listener.until_told(3)
    assert listener.told == ["when", "when do you open", (1, "when do you open")]
    assert [len(piece) for piece in stt.heard[0]] == [5000, 1600, 1600, 640]


async def test_texts_come_in_the_order_of_the_utterances(listen: Callable[..., Listener]) -> None:
    listener = listen(FakeStt("one", "two"))
    for utterance in (1, 2):
        listener.transcription.begin(utterance, sound(1600))
        listener.transcription.finish(utterance)
    await listener.until_told(4)
    assert listener.told == ["one", (1, "one"), "two", (2, "two")]


async def test_a_dropped_utterance_has_no_text(listen: Callable[..., Listener]) -> None:
    stt = FakeStt("two")
    listener = listen(stt)
    listener.transcription.begin(1, sound(100))
    listener.transcription.drop()
    listener.transcription.begin(2, sound(100))
    listener.transcription.finish(2)
    await listener.until_told(2)
    assert listener.told == ["two", (2, "two")]
    assert stt.cancelled == 1
    assert [sum(map(len, heard)) for heard in stt.heard] == [0, 100]


async def test_a_recogniser_that_fails_understands_nothing(listen: Callable[..., Listener]) -> None:
    listener = listen(FakeStt(EngineError("deaf"), "two"))
    for utterance in (1, 2):
        listener.transcription.begin(utterance, sound(1600))
        listener.transcription.finish(utterance)
    await listener.until_told(4)
    assert listener.told == ["engine_failed", (1, "<failed>"), "two", (2, "two")]


async def test_speech_that_waits_for_a_slow_recogniser_is_bounded() -> None:
    stt = FakeStt("yes")
    listener = Listener(stt)
    listener.transcription.begin(1, sound(1600))
    for _ in range(2000):
        listener.transcription.push(sound(1600))
    listener.transcription.finish(1)
    await listener.until_told(2)
    await listener.stop()
    assert listener.told[-1] == (1, "yes")
    assert 500 <= len(stt.heard[0]) <= 600


async def test_stopping_closes_the_stream() -> None:
    stt = FakeStt("when do")
    listener = Listener(stt)
    listener.transcription.begin(1, sound(1600))
    await listener.until_told(1)
    assert stt.open_streams == 1
    await listener.stop()
    assert stt.open_streams == 0


async def test_a_transcript_without_end_is_cut_and_that_is_logged() -> None:
    listener = Listener(FakeStt("on and " * 5_000))
    with structlog.testing.capture_logs() as logs:
        listener.transcription.begin(1, sound(0))
        for _ in range(4):
            listener.transcription.push(sound(1_600))
        listener.transcription.finish(1)
        await listener.until_told(3)
    await listener.stop()
    first, interim, final = listener.told
    assert (first, interim) == ("on", ("on and " * 5_000)[:4_000])
    assert final == (1, ("on and " * 5_000)[:4_000])
    assert [(line["event"], line["characters"]) for line in logs] == [("transcript_cut", 34_999)]
