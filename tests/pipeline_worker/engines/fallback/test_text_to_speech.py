import asyncio
from contextlib import aclosing

import pytest

from pipeline_worker.engines.fallback.text_to_speech import FallbackTextToSpeech
from pipeline_worker.engines.guard import EngineGuard, Guarded
from pipeline_worker.engines.protocols import SpeechPiece, TextToSpeech, Word
from shared.errors import EngineError
from tests.fakes.unreliable_engines import UnreliableTts, sound
from tests.fakes.virtual_time import in_virtual_time

DOWN = EngineError("connection reset", code="engine_unavailable")
TEXT = "We are open, every day, from five."
SECOND = 24_000


def watched(tts: TextToSpeech, name: str) -> Guarded[TextToSpeech]:
    return Guarded(tts, EngineGuard("text_to_speech", name, first_output_s=3, stall_s=10))


def reliable(first: UnreliableTts, fallback: UnreliableTts | None) -> FallbackTextToSpeech:
    return FallbackTextToSpeech(watched(first, "vendor"), watched(fallback, "spare") if fallback else None)


def piece(samples: int, *words: tuple[str, int]) -> SpeechPiece:
    return SpeechPiece(sound(samples), tuple(Word(text, end) for text, end in words))


async def speak(
    tts: FallbackTextToSpeech, given: list[SpeechPiece] | None = None, text: str = TEXT
) -> tuple[int, list[tuple[str, int]]]:
    """How many samples were spoken, and the words with their ends."""
    pieces: list[SpeechPiece] = [] if given is None else given
    async with aclosing(tts.speak(text)) as spoken:
        async for one in spoken:
            pieces.append(one)  # noqa: PERF401 (what came before an error counts)
    return sum(len(one.samples) for one in pieces), [
        (word.text, word.end_sample) for one in pieces for word in one.words
    ]


@in_virtual_time
async def test_an_engine_that_speaks_needs_no_fallback() -> None:
    spare = UnreliableTts([piece(100)])
    tts = reliable(UnreliableTts([2, piece(600, ("We", 400)), 9, piece(400, ("are", 1000))]), spare)
    assert await speak(tts) == (1000, [("We", 400), ("are", 1000)])
    assert spare.asked == 0


@in_virtual_time
async def test_a_word_is_given_when_all_of_it_is_spoken() -> None:
    tts = reliable(UnreliableTts([piece(600, ("We", 400), ("are", 1000)), piece(400), piece(0, ("open,", 1000))]), None)
    given: list[SpeechPiece] = []
    await speak(tts, given)
    assert [[word.text for word in one.words] for one in given] == [["We"], ["are"], ["open,"]]


@pytest.mark.parametrize(
    "row", [[DOWN], [60], [piece(0), DOWN], [ValueError("protocol")]], ids=lambda row: str(row[-1])
)
def test_a_text_that_fails_before_its_first_sound_is_spoken_by_the_fallback(row: list[object]) -> None:
    @in_virtual_time
    async def play() -> None:
        first, spare = UnreliableTts(row), UnreliableTts([piece(600, ("We", 500))])
        assert await speak(reliable(first, spare)) == (600, [("We", 500)])
        assert spare.texts == [TEXT]
        assert first.closed == spare.closed == 1
        assert asyncio.get_running_loop().time() <= 3

    play()


@in_virtual_time
async def test_the_fallback_speaks_at_the_rate_of_the_first() -> None:
    spare = UnreliableTts([piece(1600, ("We", 800)), piece(14_400, ("are", 16_000))], sample_rate=16_000)
    tts = reliable(UnreliableTts([DOWN]), spare)
    assert tts.sample_rate == SECOND
    assert await speak(tts) == (SECOND, [("We", 1200), ("are", SECOND)])


@pytest.mark.parametrize("failure", [DOWN, 60], ids=str)
def test_the_fallback_goes_on_after_the_last_whole_word(failure: object) -> None:
    @in_virtual_time
    async def play() -> None:
        words = ("We", 5_000), ("are", 10_000), ("open,", 20_000), ("every", 26_000)
        first = UnreliableTts([piece(SECOND, *words), failure])
        spare = UnreliableTts([piece(9_000, ("every", 6_000), ("day,", 9_000))])
        spoken = await speak(reliable(first, spare))
        assert spare.texts == ["every day, from five."]
        assert spoken == (SECOND + 9_000, [*words[:3], ("every", 30_000), ("day,", 33_000)])

    play()


@in_virtual_time
async def test_nothing_is_left_for_the_fallback_when_all_words_were_spoken() -> None:
    spare = UnreliableTts([piece(100)])
    row = [piece(SECOND, ("Thank", 9_000), ("you", 20_000)), DOWN]
    assert await speak(reliable(UnreliableTts(row), spare), text="Thank you!") == (
        SECOND,
        [("Thank", 9_000), ("you", 20_000)],
    )
    assert spare.asked == 0


@pytest.mark.parametrize(
    ("spoken", "left"),
    [
        (piece(SECOND), TEXT),
        (piece(2 * SECOND), "every day, from five."),
        (piece(4 * SECOND), "from five."),
        (piece(SECOND, ("We", 5_000)), "are open, every day, from five."),
        (piece(2 * SECOND, ("We", 9_000), ("R", 23_000)), "every day, from five."),
    ],
    ids=["in the first clause", "in the second", "at the end", "words told later", "other words than in the text"],
)
@pytest.mark.parametrize("failure", [DOWN, 60], ids=str)
def test_nothing_of_a_sentence_is_lost_when_a_voice_without_word_times_breaks_off(
    failure: object, spoken: SpeechPiece, left: str
) -> None:
    @in_virtual_time
    async def play() -> None:
        spare = UnreliableTts([piece(SECOND)])
        samples, _ = await speak(reliable(UnreliableTts([spoken, failure]), spare))
        assert spare.texts == [left]
        assert samples == len(spoken.samples) + SECOND

    play()


@in_virtual_time
async def test_words_without_times_are_assumed_to_be_slow() -> None:
    """Ten characters a second, before the failure and in the rest, whatever times the fallback gives."""
    spare = UnreliableTts([piece(SECOND, ("every", 2_000)), piece(2 * SECOND, ("day,", 50_000))])
    _, words = await speak(reliable(UnreliableTts([piece(2 * SECOND), DOWN]), spare))
    tenth = SECOND // 10
    assert words == [
        *[("We", 2 * tenth), ("are", 6 * tenth), ("open,", 12 * tenth)],
        *[("every", 18 * tenth), ("day,", 30 * tenth), ("from", 35 * tenth), ("five.", 41 * tenth)],
    ]


@in_virtual_time
async def test_without_a_fallback_it_fails() -> None:
    with pytest.raises(EngineError) as raised:
        await speak(reliable(UnreliableTts([60]), None))
    assert raised.value.code == "engine_timeout"
    assert asyncio.get_running_loop().time() == 3


@in_virtual_time
async def test_when_both_fail_the_fallbacks_failure_is_raised() -> None:
    with pytest.raises(EngineError, match="busy"):
        await speak(reliable(UnreliableTts([DOWN]), UnreliableTts([EngineError("busy")])))


@in_virtual_time
async def test_a_dead_engine_is_not_waited_for_in_every_sentence() -> None:
    first, spare = UnreliableTts([60]), UnreliableTts([piece(100)])
    tts = reliable(first, spare)
    for _ in range(6):
        assert (await speak(tts))[0] == 100
    assert first.asked == 3
    assert asyncio.get_running_loop().time() == 9


@in_virtual_time
async def test_cancelling_closes_the_engine_that_speaks() -> None:
    first, spare = UnreliableTts([DOWN]), UnreliableTts([piece(100), 9, piece(100)])
    task = asyncio.create_task(speak(reliable(first, spare)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.closed == spare.closed == 1
