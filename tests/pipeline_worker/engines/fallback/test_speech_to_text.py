import asyncio

import pytest

from pipeline_worker.engines.fallback.speech_to_text import FallbackSpeechToText
from pipeline_worker.engines.guard import EngineGuard, Guarded
from pipeline_worker.engines.protocols import SpeechToText, Transcript
from shared.audio import UPLINK_RATE
from shared.errors import EngineError
from tests.fakes.unreliable_engines import UnreliableStt, sound
from tests.fakes.virtual_time import in_virtual_time

DOWN = EngineError("connection reset", code="engine_unavailable")
HEARD, SPARE = Transcript("four people", True), Transcript("for people", True)


def watched(stt: SpeechToText, name: str) -> Guarded[SpeechToText]:
    return Guarded(stt, EngineGuard("speech_to_text", name, first_output_s=5, stall_s=10))


def reliable(first: UnreliableStt, fallback: UnreliableStt | None) -> FallbackSpeechToText:
    return FallbackSpeechToText(watched(first, "vendor"), watched(fallback, "spare") if fallback else None)


async def hear(stt: FallbackSpeechToText, pieces: int = 4) -> Transcript:
    """An utterance of a few tenths of a second, numbered from 1."""
    stream = stt.open()
    for number in range(1, pieces + 1):
        await stream.push(sound(UPLINK_RATE // 10, number))
    return await stream.finish()


@in_virtual_time
async def test_an_engine_that_answers_needs_no_fallback() -> None:
    first, spare = UnreliableStt([], HEARD), UnreliableStt([], SPARE)
    assert await hear(reliable(first, spare)) == HEARD
    assert first.samples == [1, 2, 3, 4]
    assert spare.opened == 0


@pytest.mark.parametrize("step", [DOWN, 60, ValueError("protocol")], ids=str)
def test_after_a_failure_in_mid_utterance_the_fallback_hears_all_of_it(step: object) -> None:
    @in_virtual_time
    async def play() -> None:
        first, spare = UnreliableStt([None, None, step], HEARD), UnreliableStt([], SPARE)
        assert await hear(reliable(first, spare)) == SPARE
        assert spare.samples == [1, 2, 3, 4]
        assert (first.ended, spare.ended) == (1, 1)

    play()


@pytest.mark.parametrize("final", [DOWN, 60], ids=str)
def test_after_a_failure_at_the_end_the_fallback_hears_the_whole_utterance(final: object) -> None:
    @in_virtual_time
    async def play() -> None:
        first, spare = UnreliableStt([], final), UnreliableStt([], SPARE)
        assert await hear(reliable(first, spare)) == SPARE
        assert spare.samples == [1, 2, 3, 4]
        assert first.ended == 1
        assert asyncio.get_running_loop().time() <= 5

    play()


@in_virtual_time
async def test_a_recogniser_that_cannot_begin_is_replaced_by_the_fallback() -> None:
    spare = UnreliableStt([], SPARE)
    assert await hear(reliable(UnreliableStt([], HEARD, opening=DOWN), spare)) == SPARE
    assert spare.samples == [1, 2, 3, 4]


@in_virtual_time
async def test_what_the_fallback_understands_of_the_beginning_is_shown_at_once() -> None:
    spare = UnreliableStt([Transcript("for", False), None], SPARE)
    stream = reliable(UnreliableStt([None, DOWN], HEARD), spare).open()
    assert await stream.push(sound(1600)) is None
    assert await stream.push(sound(1600)) == Transcript("for", False)
    await stream.cancel()
    assert spare.ended == 1


@in_virtual_time
async def test_the_fallback_hears_the_last_minute_of_a_long_utterance() -> None:
    first, spare = UnreliableStt([], DOWN), UnreliableStt([], SPARE)
    assert await hear(reliable(first, spare), 700) == SPARE
    assert spare.samples == list(range(101, 701))


@in_virtual_time
async def test_without_a_fallback_it_fails() -> None:
    first = UnreliableStt([], 60)
    with pytest.raises(EngineError) as raised:
        await hear(reliable(first, None))
    assert raised.value.code == "engine_timeout"
    assert first.ended == 1


@in_virtual_time
async def test_when_both_fail_it_fails_and_both_are_ended() -> None:
    first, spare = UnreliableStt([], DOWN), UnreliableStt([], EngineError("busy", code="engine_busy"))
    with pytest.raises(EngineError, match="busy"):
        await hear(reliable(first, spare))
    assert (first.ended, spare.ended) == (1, 1)


@in_virtual_time
async def test_an_utterance_that_is_dropped_ends_the_stream() -> None:
    first = UnreliableStt([], HEARD)
    stream = reliable(first, None).open()
    await stream.cancel()
    await stream.push(sound(1600))
    await stream.cancel()
    assert (first.opened, first.ended) == (1, 1)


@in_virtual_time
async def test_a_dead_engine_is_not_waited_for_in_every_utterance() -> None:
    first, spare = UnreliableStt([60], HEARD), UnreliableStt([], SPARE)
    stt = reliable(first, spare)
    for _ in range(5):
        assert await hear(stt) == SPARE
    assert first.opened == 3
    assert asyncio.get_running_loop().time() == 15
    first.pushes = []
    await asyncio.sleep(30)
    assert await hear(stt) == HEARD
    assert await hear(stt) == HEARD


@in_virtual_time
async def test_cancelling_a_push_leaves_it_to_be_cancelled() -> None:
    first = UnreliableStt([4], HEARD)
    stream = reliable(first, UnreliableStt([], SPARE)).open()
    task = asyncio.create_task(stream.push(sound(1600)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stream.cancel()
    assert first.ended == 1
