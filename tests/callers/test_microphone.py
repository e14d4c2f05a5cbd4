import asyncio
import time

import numpy as np
import pytest

from callers.microphone import Microphone
from callers.voice import RATE

FRAME = RATE // 50


async def frames(microphone: Microphone, count: int) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return np.concatenate([(await microphone.recv()).to_ndarray().reshape(-1) for _ in range(count)])


async def test_sounds_are_mixed_and_know_when_they_were_loud() -> None:
    microphone = Microphone()
    before_s = asyncio.get_running_loop().time()
    first = await frames(microphone, 2)
    loud = microphone.play(np.concatenate([np.zeros(FRAME, np.int16), np.full(FRAME, 20_000, np.int16)]))
    long = microphone.play(np.full(FRAME * 2 + 100, 15_000, np.int16))
    both = await frames(microphone, 3)
    after_s = asyncio.get_running_loop().time()
    assert not first.any()
    assert list(both[::FRAME]) == [15_000, 32_767, 15_000]
    assert np.count_nonzero(both) == FRAME * 2 + 100
    assert loud.over.is_set()
    assert long.over.is_set()
    assert before_s + 0.03 < loud.onset_s < after_s
    assert loud.onset_s - long.onset_s == pytest.approx(0.02)
    assert loud.end_s - loud.onset_s == pytest.approx(0.02)
    assert loud.length_s == pytest.approx(0.04)


async def test_a_muted_microphone_sends_silence() -> None:
    microphone = Microphone()
    microphone.muted = True
    sound = microphone.play(np.full(FRAME, 20_000, np.int16))
    assert not (await frames(microphone, 1)).any()
    assert sound.over.is_set()


async def test_a_sound_knows_how_late_it_was_sent() -> None:
    microphone = Microphone()
    sound = microphone.play(np.full(2 * FRAME, 20_000, np.int16))
    await microphone.recv()
    time.sleep(0.12)  # noqa: ASYNC251 (the machine is busy)
    await microphone.recv()
    assert sound.late_s >= 0.1


async def test_frames_follow_one_another_in_real_time() -> None:
    microphone = Microphone()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    stamps = [(await microphone.recv()).pts for _ in range(5)]
    assert stamps == [n * FRAME for n in range(5)]
    assert loop.time() - began_s >= 0.099
