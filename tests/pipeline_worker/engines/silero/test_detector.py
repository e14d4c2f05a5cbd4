import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import onnxruntime
import pytest

from pipeline_worker.engines.silero import detector
from pipeline_worker.engines.silero.detector import SileroStream, SileroVoiceActivityDetector
from pipeline_worker.engines.silero.model import CHUNK_SAMPLES
from pipeline_worker.engines.silero.silence_gate import CALM_CHUNKS, SilenceGate
from shared.audio import UPLINK_RATE, Pcm
from shared.errors import EngineError
from tests.pipeline_worker.engines.spoken import caller


@pytest.fixture
async def vad() -> AsyncIterator[SileroVoiceActivityDetector]:
    vad = SileroVoiceActivityDetector()
    yield vad
    await vad.close()


async def voices() -> list[Pcm]:
    """Three callers who say different things, some 3 s each."""
    heard = []
    for voice, text in [
        ("en-us+m3", "I would like to book a table for four on Friday, please."),
        ("en-us+f3", "When are you open? And how do I find you?"),
        ("en", "Goodbye, and thank you very much for all of your help."),
    ]:
        async with caller(voice) as speaker:
            heard.append(await speaker.says(text))
    return heard


class Listener:
    """Pushes to a stream and waits for what the detector finds."""

    def __init__(self, vad: SileroVoiceActivityDetector) -> None:
        self.stream = vad.open(
            lambda found: self._answer.set_result(found), lambda error: self._answer.set_exception(error)
        )
        self._answer: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()

    async def push(self, samples: Pcm) -> list[float]:
        found = self.stream.push(samples.tobytes())
        if found is None:
            async with asyncio.timeout(20):
                found = await self._answer
            self._answer = asyncio.get_running_loop().create_future()
        return found


async def in_frames(vad: SileroVoiceActivityDetector, samples: Pcm) -> list[float]:
    listener = Listener(vad)
    probabilities = []
    for first in range(0, len(samples), 320):
        probabilities += await listener.push(samples[first : first + 320])
    listener.stream.close()
    return probabilities


async def test_many_at_once_get_what_each_would_get_alone(vad: SileroVoiceActivityDetector) -> None:
    heard = await voices()
    alone = [await in_frames(vad, samples) for samples in heard]
    together = await asyncio.gather(*(in_frames(vad, samples) for samples in heard * 4))
    for one, other in zip(alone * 4, together, strict=True):
        assert len(one) == len(other)
        assert np.abs(np.array(one) - np.array(other)).max() < 1e-4
    assert [len(one) for one in alone] == [len(samples) // CHUNK_SAMPLES for samples in heard]


async def test_speech_is_speech_and_a_quiet_room_is_not(vad: SileroVoiceActivityDetector) -> None:
    async with caller() as speaker:
        probabilities = await in_frames(vad, await speaker.says("When are you open on Friday?"))
    assert max(probabilities[:4]) < 0.3
    assert max(probabilities[-8:]) < 0.3
    assert np.mean(np.array(probabilities[8:-20]) > 0.5) > 0.8


async def test_the_size_of_the_pieces_changes_nothing(vad: SileroVoiceActivityDetector) -> None:
    async with caller() as speaker:
        samples = await speaker.says("Three pieces of cake")
    at_once = await Listener(vad).push(samples)
    assert np.abs(np.array(at_once) - np.array(await in_frames(vad, samples))).max() < 1e-4
    stream = Listener(vad)
    assert await stream.push(samples[:511]) == []
    assert len(await stream.push(samples[511:512])) == 1
    assert await stream.push(samples[:0]) == []


async def test_closing_a_stream_disturbs_nobody(vad: SileroVoiceActivityDetector) -> None:
    (samples, other, _) = await voices()
    expected = await in_frames(vad, other)
    told: list[object] = []
    stream = vad.open(told.append, told.append)
    assert stream.push(samples.tobytes()) is None
    neighbour = asyncio.create_task(in_frames(vad, other))
    await asyncio.sleep(0)
    stream.close()
    stream.close()
    assert np.abs(np.array(await neighbour) - np.array(expected)).max() < 1e-4
    assert told == []


@pytest.mark.parametrize("noise", [0, 8, 33], ids=["digital silence", "-72 dBFS", "-60 dBFS"])
async def test_a_quiet_room_is_not_shown_to_the_model(
    vad: SileroVoiceActivityDetector, monkeypatch: pytest.MonkeyPatch, noise: int
) -> None:
    judged = []
    hear = SileroStream.judged

    def count(stream: SileroStream, *heard: Any) -> None:
        judged.append(stream)
        hear(stream, *heard)

    monkeypatch.setattr(SileroStream, "judged", count)
    room = np.random.default_rng(1).normal(0, noise, 200 * CHUNK_SAMPLES).astype(np.int16)
    probabilities = await in_frames(vad, room)
    assert len(probabilities) == 200
    assert max(probabilities[3:]) < 0.3
    assert CALM_CHUNKS <= len(judged) < 50


@pytest.mark.parametrize("noise_dbfs", [-90, -65, -58])
async def test_quiet_speech_after_a_quiet_room_is_noticed_as_soon_as_if_all_were_judged(
    vad: SileroVoiceActivityDetector, monkeypatch: pytest.MonkeyPatch, noise_dbfs: int
) -> None:
    random = np.random.default_rng(7)
    heard, begins = [], []
    for samples in (await voices()) * 2:
        pause = random.integers(UPLINK_RATE, 2 * UPLINK_RATE)
        speech = samples[UPLINK_RATE // 5 : -UPLINK_RATE * 6 // 10] / 32768
        heard += [np.zeros(pause), speech * 10 ** (-45 / 20) / np.sqrt(np.mean(speech**2))]
        begins.append((sum(map(len, heard[:-1])), sum(map(len, heard))))
    clean = np.concatenate(heard)
    noisy = ((clean + random.normal(0, 10 ** (noise_dbfs / 20), len(clean))) * 32767).round().astype(np.int16)
    gated = await Listener(vad).push(noisy)
    monkeypatch.setattr(SilenceGate, "passes", lambda *_: True)
    judged = await Listener(vad).push(noisy)
    for begin, end in begins:
        assert onset(gated, begin, end) <= onset(judged, begin, end) + 1


def onset(probabilities: list[float], begin: int, end: int) -> int:
    """The chunk in which the speech between two samples is noticed: the first of two that are speech."""
    chunks = range(begin // CHUNK_SAMPLES - 4, end // CHUNK_SAMPLES)
    return next(chunk for chunk in chunks if min(probabilities[chunk : chunk + 2]) > 0.5)


async def test_a_model_that_fails_fails_the_push_and_the_next_is_served(
    vad: SileroVoiceActivityDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def run(self, *_: object) -> None:
            raise onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException("no memory")

    noise = np.random.default_rng(1).integers(-99, 99, CHUNK_SAMPLES).astype(np.int16)
    with monkeypatch.context() as patch:
        patch.setattr(vad, "_model", Broken())
        with pytest.raises(EngineError, match="no memory"):
            await Listener(vad).push(noise)
    assert len(await Listener(vad).push(noise)) == 1


async def test_after_close_a_push_fails(vad: SileroVoiceActivityDetector) -> None:
    listener, waiting = Listener(vad), Listener(vad)
    pushing = asyncio.create_task(waiting.push(np.ones(CHUNK_SAMPLES, dtype=np.int16)))
    await asyncio.sleep(0)
    await vad.close()
    await vad.close()
    for failing in (pushing, listener.push(np.ones(CHUNK_SAMPLES, dtype=np.int16))):
        with pytest.raises(EngineError, match="closed"):
            await failing


async def test_a_model_that_hangs_fails_those_who_need_it_until_it_answers(
    vad: SileroVoiceActivityDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging:
        def run(self, *_: object) -> None:
            goes_on.wait(20)
            raise RuntimeError("woken")

    goes_on = threading.Event()
    noise = np.random.default_rng(1).integers(-99, 99, CHUNK_SAMPLES).astype(np.int16)
    monkeypatch.setattr(detector, "_ANSWER_TIMEOUT_S", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(vad, "_model", Hanging())
        for _ in range(2):
            with pytest.raises(EngineError, match="far behind"):
                await Listener(vad).push(noise)
    goes_on.set()
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(EngineError):
                assert len(await Listener(vad).push(noise)) == 1
                break
            await asyncio.sleep(0.01)
