import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from prometheus_client import REGISTRY

from pipeline_worker.engines.guard import CLOSE_S, EngineGuard
from pipeline_worker.engines.protocols import Reply
from shared.errors import EngineError
from tests.fakes.unreliable_engines import UnreliableLm
from tests.fakes.virtual_time import in_virtual_time


def guard(engine: str = "fake") -> EngineGuard:
    return EngineGuard("language_model", engine, first_output_s=5, stall_s=10)


def has_text(piece: Reply) -> bool:
    return bool(piece.text)


async def texts(guard: EngineGuard, lm: UnreliableLm, pause_s: float = 0) -> list[str]:
    given = []
    async with aclosing(guard.outputs(lm.reply([]), has_text)) as pieces:
        async for piece in pieces:
            given.append(piece.text)
            await asyncio.sleep(pause_s)
    return given


def counted(name: str, engine: str, **labels: str) -> float:
    sample = REGISTRY.get_sample_value(name, {"kind": "language_model", "engine": engine, **labels})
    return sample or 0.0


@in_virtual_time
async def test_a_long_answer_that_keeps_coming_is_in_time() -> None:
    lm = UnreliableLm([4.9, Reply("a"), 9.9, Reply("b"), 9.9, Reply("c")])
    assert await texts(guard(), lm) == ["a", "b", "c"]
    assert lm.closed == 1


@in_virtual_time
async def test_a_first_output_that_is_late_is_an_error() -> None:
    lm = UnreliableLm([5.1, Reply("a")])
    with pytest.raises(EngineError, match=r"^the language model engine 'fake' gave nothing for 5 s$") as raised:
        await texts(guard(), lm)
    assert raised.value.code == "engine_timeout"
    assert asyncio.get_running_loop().time() == 5
    assert lm.closed == 1


@in_virtual_time
async def test_an_empty_piece_is_not_a_first_output() -> None:
    lm = UnreliableLm([4, Reply(""), 4, Reply("a")])
    with pytest.raises(EngineError):
        await texts(guard(), lm)
    assert asyncio.get_running_loop().time() == 5


@in_virtual_time
async def test_empty_pieces_come_before_the_first_output_or_at_the_end() -> None:
    assert await texts(guard(), UnreliableLm([Reply(""), 1, Reply("a")])) == ["", "a"]
    assert await texts(guard(), UnreliableLm([Reply(""), 1])) == [""]


@in_virtual_time
async def test_an_answer_that_stalls_is_an_error() -> None:
    lm = UnreliableLm([Reply("a"), 10.1, Reply("b")])
    given = []
    with pytest.raises(EngineError) as raised:
        async for piece in guard().outputs(lm.reply([]), has_text):
            given.append(piece.text)  # noqa: PERF401 (what came before the error counts)
    assert given == ["a"]
    assert raised.value.code == "engine_timeout"
    assert lm.closed == 1


@in_virtual_time
async def test_a_slow_listener_is_not_a_stall() -> None:
    assert await texts(guard(), UnreliableLm([Reply("a"), Reply("b"), Reply("c")]), pause_s=60) == ["a", "b", "c"]


@in_virtual_time
async def test_closing_it_closes_the_engine() -> None:
    lm = UnreliableLm([Reply("a"), Reply("b")])
    outputs = guard().outputs(lm.reply([]), has_text)
    assert (await anext(outputs)).text == "a"
    await outputs.aclose()
    assert lm.closed == 1


@in_virtual_time
async def test_cancelling_it_closes_the_engine() -> None:
    lm = UnreliableLm([Reply("a"), 9, Reply("b")])
    task = asyncio.create_task(texts(guard(), lm))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lm.closed == 1


@in_virtual_time
async def test_an_engine_that_does_not_close_delays_nobody() -> None:
    async def clinging() -> AsyncGenerator[Reply, None]:
        try:
            yield Reply("a")
            yield Reply("b")
        finally:
            await asyncio.sleep(3600)

    outputs = guard().outputs(clinging(), has_text)
    await anext(outputs)
    await outputs.aclose()
    assert asyncio.get_running_loop().time() == CLOSE_S


@in_virtual_time
async def test_a_fault_while_an_engine_closes_is_only_logged() -> None:
    async def clumsy() -> AsyncGenerator[Reply, None]:
        try:
            yield Reply("a")
            yield Reply("b")
        finally:
            raise KeyError("connection")

    outputs = guard().outputs(clumsy(), has_text)
    await anext(outputs)
    await outputs.aclose()


@in_virtual_time
async def test_a_fault_inside_an_engine_is_the_engines_failure() -> None:
    with pytest.raises(EngineError, match="fault of its own") as raised:
        await texts(guard(), UnreliableLm([KeyError("delta")]))
    assert raised.value.code == "engine_broken"


@in_virtual_time
async def test_failures_are_counted_by_code_and_first_outputs_by_time() -> None:
    guarded = guard("counted")
    await texts(guarded, UnreliableLm([0.4, Reply("a")]))
    for error in (EngineError("no", code="engine_busy"), EngineError("no", code="engine_busy"), 6.0):
        with pytest.raises(EngineError):
            await texts(guarded, UnreliableLm([error]))
    assert counted("antiphon_engine_failures_total", "counted", code="engine_busy") == 2
    assert counted("antiphon_engine_failures_total", "counted", code="engine_timeout") == 1
    assert counted("antiphon_engine_first_output_seconds_bucket", "counted", le="0.5") == 1
    assert counted("antiphon_engine_first_output_seconds_bucket", "counted", le="0.3") == 0


@in_virtual_time
async def test_after_failures_in_a_row_it_is_not_asked_until_a_probe_succeeds() -> None:
    guarded = guard()
    lm = UnreliableLm([EngineError("no")], [Reply("a"), EngineError("no")], [EngineError("no")], [Reply("back")])
    for _ in range(3):
        assert guarded.admits()
        with pytest.raises(EngineError):
            await texts(guarded, lm)
    assert not guarded.admits()
    await asyncio.sleep(30)
    assert guarded.admits()
    assert not guarded.admits()
    assert await texts(guarded, lm) == ["back"]
    assert guarded.admits()


@in_virtual_time
async def test_an_abandoned_answer_counts_as_a_success() -> None:
    guarded = guard()
    for _ in range(2):
        with pytest.raises(EngineError):
            await texts(guarded, UnreliableLm([EngineError("no")]))
    outputs = guarded.outputs(UnreliableLm([Reply("a"), Reply("b")]).reply([]), has_text)
    await anext(outputs)
    await outputs.aclose()
    with pytest.raises(EngineError):
        await texts(guarded, UnreliableLm([EngineError("no")]))
    assert guarded.admits()


@in_virtual_time
async def test_one_answer_is_within_the_deadline_or_an_error() -> None:
    assert await guard().answer(asyncio.sleep(4.9, "yes")) == "yes"
    with pytest.raises(EngineError) as raised:
        await guard().answer(asyncio.sleep(5.1, "yes"))
    assert raised.value.code == "engine_timeout"


@in_virtual_time
async def test_an_answer_that_is_abandoned_while_it_waits_is_cancelled() -> None:
    ended = []

    async def answer() -> None:
        try:
            await asyncio.sleep(1)
            await asyncio.sleep(1)
        finally:
            await asyncio.sleep(1)
            ended.append(asyncio.get_running_loop().time())

    for patience_s in (0.5, 1.5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(patience_s):
                await guard().answer(answer())
    assert ended == [1.5, 4.0]


@in_virtual_time
async def test_an_answer_that_goes_on_in_empty_pieces_only_has_stalled() -> None:
    lm = UnreliableLm([Reply("a"), *(step for _ in range(20) for step in (1, Reply("")))])
    with pytest.raises(EngineError) as raised:
        await texts(guard(), lm)
    assert raised.value.code == "engine_timeout"
    assert asyncio.get_running_loop().time() == 10


@in_virtual_time
async def test_a_listener_who_takes_time_over_an_empty_piece_is_no_stall() -> None:
    lm = UnreliableLm([Reply("a"), Reply(""), 1, Reply("b")])
    assert await texts(guard(), lm, pause_s=15) == ["a", "", "b"]
