import asyncio
from contextlib import aclosing

import pytest

from pipeline_worker.engines.fallback.language_model import FallbackLanguageModel
from pipeline_worker.engines.guard import EngineGuard, Guarded
from pipeline_worker.engines.protocols import LanguageModel, Reply, ToolCall, Utterance
from shared.errors import EngineError
from tests.fakes.counters import Gained
from tests.fakes.unreliable_engines import UnreliableLm
from tests.fakes.virtual_time import in_virtual_time

DOWN = EngineError("connection refused", code="engine_unavailable")
ASKED = [Utterance("user", "When are you open?")]


def watched(lm: LanguageModel, name: str = "vendor") -> Guarded[LanguageModel]:
    return Guarded(lm, EngineGuard("language_model", name, first_output_s=5, stall_s=10))


def reliable(first: UnreliableLm, fallback: UnreliableLm | None) -> FallbackLanguageModel:
    return FallbackLanguageModel(watched(first), watched(fallback, "spare") if fallback else None)


async def answer(lm: FallbackLanguageModel, into: list[str] | None = None) -> list[str]:
    texts: list[str] = [] if into is None else into
    async with aclosing(lm.reply(ASKED)) as pieces:
        async for piece in pieces:
            texts.append(piece.text)  # noqa: PERF401 (what came before an error counts)
    return texts


@in_virtual_time
async def test_an_engine_that_answers_needs_no_fallback() -> None:
    spare = UnreliableLm([Reply("spare")])
    assert await answer(reliable(UnreliableLm([1, Reply("a"), 9, Reply("b")]), spare)) == ["a", "b"]
    assert spare.asked == 0


@pytest.mark.parametrize("row", [[DOWN], [60], [Reply(""), DOWN], [ValueError("protocol")]], ids=str)
def test_a_failure_before_any_output_is_answered_by_the_fallback(row: list[object]) -> None:
    @in_virtual_time
    async def play() -> None:
        first, spare = UnreliableLm(row), UnreliableLm([Reply("From five on.")])
        assert await answer(reliable(first, spare)) == ["From five on."]
        assert spare.conversations == [ASKED]
        assert first.closed == spare.closed == 1

    play()


@pytest.mark.parametrize("row", [[Reply("a"), DOWN], [Reply("a"), 60]], ids=str)
def test_a_failure_after_some_output_is_not_answered_twice(row: list[object]) -> None:
    @in_virtual_time
    async def play() -> None:
        first, spare = UnreliableLm(row), UnreliableLm([Reply("spare")])
        given: list[str] = []
        with pytest.raises(EngineError):
            await answer(reliable(first, spare), given)
        assert given == ["a"]
        assert spare.asked == 0
        assert first.closed == 1

    play()


@pytest.mark.parametrize(
    "said", [Reply("", end_call=True), Reply("", tool_calls=(ToolCall("1", "book", "{}"),))], ids=str
)
def test_a_tool_call_counts_as_output(said: Reply) -> None:
    @in_virtual_time
    async def play() -> None:
        spare = UnreliableLm([Reply("spare")])
        with pytest.raises(EngineError):
            await answer(reliable(UnreliableLm([said, DOWN]), spare))
        assert spare.asked == 0

    play()


@in_virtual_time
async def test_without_a_fallback_a_failure_is_raised_at_the_deadline() -> None:
    with pytest.raises(EngineError) as raised:
        await answer(reliable(UnreliableLm([60]), None))
    assert raised.value.code == "engine_timeout"
    assert asyncio.get_running_loop().time() == 5


@in_virtual_time
async def test_when_both_fail_the_fallbacks_failure_is_raised() -> None:
    with pytest.raises(EngineError, match="busy"):
        await answer(reliable(UnreliableLm([DOWN]), UnreliableLm([EngineError("busy", code="engine_busy")])))


@in_virtual_time
async def test_a_dead_engine_is_not_waited_for_in_every_turn() -> None:
    first, spare = UnreliableLm([60], [60], [60], [Reply("back")]), UnreliableLm([Reply("spare")])
    lm = reliable(first, spare)
    loop = asyncio.get_running_loop()
    waits = []
    for _ in range(6):
        began = loop.time()
        assert await answer(lm) == ["spare"]
        waits.append(loop.time() - began)
    assert waits == [5, 5, 5, 0, 0, 0]
    await asyncio.sleep(30)
    assert await answer(lm) == ["back"]
    assert await answer(lm) == ["back"]


@in_virtual_time
async def test_a_dead_engine_without_a_fallback_is_asked_all_the_same() -> None:
    first = UnreliableLm([DOWN])
    lm = reliable(first, None)
    for _ in range(5):
        with pytest.raises(EngineError):
            await answer(lm)
    assert first.asked == 5


@in_virtual_time
async def test_abandoning_an_answer_closes_the_engine_that_answers() -> None:
    first, spare = UnreliableLm([DOWN]), UnreliableLm([Reply("a"), 5, Reply("b")])
    task = asyncio.create_task(answer(reliable(first, spare)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.closed == spare.closed == 1


@in_virtual_time
async def test_abandoning_an_answer_before_it_began_asks_no_fallback() -> None:
    first, spare = UnreliableLm([4, Reply("a")]), UnreliableLm([Reply("spare")])
    task = asyncio.create_task(answer(reliable(first, spare)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.closed == 1
    assert spare.asked == 0


@in_virtual_time
async def test_both_are_closed_with_the_session() -> None:
    first, spare = UnreliableLm([]), UnreliableLm([])
    await reliable(first, spare).close()
    assert first.is_closed
    assert spare.is_closed


@in_virtual_time
async def test_fallbacks_are_counted() -> None:
    fallbacks = Gained("antiphon_engine_fallbacks_total", kind="language_model", engine="vendor")
    await answer(reliable(UnreliableLm([DOWN]), UnreliableLm([Reply("spare")])))
    assert fallbacks() == 1
