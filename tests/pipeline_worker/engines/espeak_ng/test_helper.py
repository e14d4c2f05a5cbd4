import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from pipeline_worker.engines.helper.frames import Frame
from pipeline_worker.engines.helper.process import HelperProcess
from shared.audio import as_samples
from shared.errors import EngineError

TIMEOUT_S = 20
SPEAK = {"op": "speak", "voice": "en-us", "rate": 165, "pitch": 50, "volume": 100}


@pytest.fixture
async def helper() -> AsyncIterator[HelperProcess]:
    helper = HelperProcess("pipeline_worker.engines.espeak_ng.helper", name="eSpeak NG")
    yield helper
    await helper.close()


async def speak(helper: HelperProcess, text: str, **options: Any) -> list[Frame]:
    channel = await helper.open()
    try:
        await channel.send({**SPEAK, **options}, text.encode())
        frames = []
        while not (frame := await channel.receive(TIMEOUT_S)).header.get("last"):
            frames.append(frame)
        return frames
    finally:
        channel.close({"op": "cancel"})


def pcm(frames: list[Frame]) -> bytes:
    return b"".join(frame.body for frame in frames)


def words(frames: list[Frame]) -> list[list[int]]:
    return [word for frame in frames for word in frame.header["words"]]


async def test_speech_comes_in_pieces_with_the_time_of_each_word(helper: HelperProcess) -> None:
    text = "Grüß Gott, we open at seven."
    frames = await speak(helper, text)
    samples = as_samples(pcm(frames))
    assert len(frames) > 5
    assert {frame.header["sample_rate"] for frame in frames} == {22_050}
    assert 22_050 < len(samples) < 4 * 22_050
    assert np.abs(samples.astype(int)).max() > 5_000
    # Characters, not bytes; rising samples within the speech.
    assert [text[first:].split()[0] for first, _ in words(frames)] == ["Grüß", "Gott,", "we", "open", "at", "seven."]
    positions = [sample for _, sample in words(frames)]
    assert positions == sorted(set(positions))
    assert positions[0] >= 0 and positions[-1] < len(samples)


async def test_texts_are_spoken_one_after_the_other_and_do_not_mix(helper: HelperProcess) -> None:
    """Their samples differ a little each time: the voice flutters at random. Words and length hardly do."""
    texts = ["I am the first.", "And I am the second one.", "Three."]
    alone = [await speak(helper, text) for text in texts]
    together = await asyncio.gather(*(speak(helper, text) for text in texts * 3))
    for one, other in zip(alone * 3, together, strict=True):
        assert [first for first, _ in words(one)] == [first for first, _ in words(other)]
        assert len(pcm(one)) == pytest.approx(len(pcm(other)), rel=0.02)


async def test_each_text_has_its_own_voice_and_rate(helper: HelperProcess) -> None:
    slow = pcm(await speak(helper, "Good evening.", rate=100))
    fast = pcm(await speak(helper, "Good evening.", rate=300))
    other = pcm(await speak(helper, "Good evening.", rate=300, voice="en-us+f3"))
    assert len(fast) < len(slow) * 0.7
    assert other != fast


async def test_an_unknown_voice_is_an_error_of_that_text_only(helper: HelperProcess) -> None:
    with pytest.raises(EngineError, match="no voice 'klingon-9'") as raised:
        await speak(helper, "Hello.", voice="klingon-9")
    assert raised.value.code == "unknown_voice"
    assert pcm(await speak(helper, "Hello."))


async def test_a_cancelled_text_is_not_spoken_to_its_end(helper: HelperProcess) -> None:
    channel = await helper.open()
    await channel.send(SPEAK, b"This goes on, and on, and on. " * 400)
    await channel.receive(TIMEOUT_S)
    await channel.send({"op": "cancel"})
    received = 0
    while not (frame := await channel.receive(TIMEOUT_S)).header.get("last"):
        received += len(frame.body)
        assert received < 100 * 44_100, "it is still talking"
    channel.close()
    assert pcm(await speak(helper, "Hello."))


async def test_a_text_that_is_cancelled_in_the_queue_is_never_spoken(helper: HelperProcess) -> None:
    first, second = await helper.open(), await helper.open()
    await first.send(SPEAK, b"Something long enough to wait for. " * 20)
    await second.send(SPEAK, b"Never mind.")
    await second.send({"op": "cancel"})
    while not (await first.receive(TIMEOUT_S)).header.get("last"):
        pass
    await speak(helper, "And after it.")
    assert second.receive_nowait() is None
