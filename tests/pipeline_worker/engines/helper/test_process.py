import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline_worker.engines.helper.process import Channel, HelperProcess
from shared.errors import EngineError

HELPER = "tests.fakes.stand_in_helper"
TIMEOUT_S = 20


@asynccontextmanager
async def running(module: str = HELPER, **options: Any) -> AsyncIterator[HelperProcess]:
    helper = HelperProcess(module, name="stand-in", **options)
    try:
        yield helper
    finally:
        await helper.close()


@pytest.fixture
async def helper() -> AsyncIterator[HelperProcess]:
    async with running() as helper:
        yield helper


async def echo(channel: Channel, body: bytes) -> bytes:
    await channel.send({"op": "echo"}, body)
    return (await channel.receive(TIMEOUT_S)).body


async def test_channels_get_their_own_answers(helper: HelperProcess) -> None:
    channels = [await helper.open() for _ in range(5)]
    bodies = [bytes([number]) * 100_000 for number in range(5)]
    assert await asyncio.gather(*map(echo, channels, bodies)) == bodies
    assert helper.open_channels == 5
    for channel in channels:
        channel.close()
        channel.close()
    assert helper.open_channels == 0


async def test_an_answer_that_says_error_is_raised_with_its_code(helper: HelperProcess) -> None:
    channel = await helper.open()
    await channel.send({"op": "fail"})
    with pytest.raises(EngineError, match="as you like") as raised:
        await channel.receive(TIMEOUT_S)
    assert raised.value.code == "told_to"
    assert await echo(channel, b"still there") == b"still there"


@pytest.mark.parametrize("op", ["die", "garble"])
async def test_a_helper_that_dies_fails_what_is_open_and_the_next_has_another(helper: HelperProcess, op: str) -> None:
    bystander, culprit = await helper.open(), await helper.open()
    first_pid = helper.pid
    await culprit.send({"op": op})
    for channel in (bystander, culprit):
        with pytest.raises(EngineError):
            await channel.receive(TIMEOUT_S)
        with pytest.raises(EngineError):  # every time
            await channel.receive(TIMEOUT_S)
        with pytest.raises(EngineError):
            await channel.send({"op": "echo"})
        channel.close({"op": "cancel"})
    assert await echo(await helper.open(), b"again") == b"again"
    assert helper.pid != first_pid


async def test_a_dying_helper_that_no_longer_reads_serves_nobody(helper: HelperProcess) -> None:
    """Its input ends before its output: a session that came in between got an engine that was gone."""
    channel = await helper.open()
    first_pid = helper.pid
    await channel.send({"op": "deafen"})
    with pytest.raises(EngineError):
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                await channel.send({"op": "echo"})
                await asyncio.sleep(0.01)
    assert await echo(await helper.open(), b"again") == b"again"
    assert helper.pid != first_pid


async def test_a_new_process_is_prepared_before_it_is_used() -> None:
    prepared: list[bytes] = []

    async def prepare(helper: HelperProcess) -> None:
        channel = helper.open_now()
        prepared.append(await echo(channel, b"ready"))
        channel.close()

    async with running(prepare=prepare) as helper:
        channel = await helper.open()
        await helper.open()
        assert len(prepared) == 1
        await channel.send({"op": "die"})
        with pytest.raises(EngineError):
            await channel.receive(TIMEOUT_S)
        await helper.open()
        assert len(prepared) == 2


class SlowLoad:
    """A model whose loading ends when the test allows it."""

    def __init__(self) -> None:
        self.begun = 0
        self.begins = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, helper: HelperProcess) -> None:
        self.begun += 1
        self.begins.set()
        await self.may_end.wait()


async def given_up(opening: asyncio.Task[Channel]) -> None:
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_a_dead_helper_is_replaced_even_if_its_model_loads_longer_than_callers_wait() -> None:
    load = SlowLoad()
    async with running(prepare=load) as helper:
        first = asyncio.create_task(helper.open())
        await load.begins.wait()
        pid = helper.pid
        await given_up(first)
        second, third = asyncio.create_task(helper.open()), asyncio.create_task(helper.open())
        await asyncio.sleep(0)
        await given_up(second)
        load.may_end.set()
        assert await echo(await third, b"hello") == b"hello"
        assert await echo(await helper.open(), b"hello") == b"hello"
        assert load.begun == 1
        assert helper.pid == pid


async def test_closing_ends_a_helper_that_is_starting() -> None:
    load = SlowLoad()
    helper = HelperProcess(HELPER, name="stand-in", prepare=load)
    opening = asyncio.create_task(helper.open())
    await load.begins.wait()
    pid = helper.pid
    assert pid is not None
    await helper.close()
    with pytest.raises(EngineError, match="was closed"):
        await opening
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_failed_load_is_an_error_for_those_who_wait_and_is_retried_for_the_next() -> None:
    failures = [EngineError("the model is not there")]

    async def prepare(_: HelperProcess) -> None:
        if failures:
            raise failures.pop()

    async with running(prepare=prepare) as helper:
        with pytest.raises(EngineError, match="the model is not there"):
            await helper.open()
        assert await echo(await helper.open(), b"hello") == b"hello"


async def test_a_hanging_helper_is_replaced_after_a_few_timeouts() -> None:
    async with running(hangs_s=0.1) as helper:
        channel = await helper.open()
        pid = helper.pid
        await channel.send({"op": "hang"})
        async with asyncio.timeout(TIMEOUT_S):
            told = "no answer"
            while "no answer" in told:
                with pytest.raises(EngineError) as raised:
                    await channel.receive(0.03)
                told = raised.value.message
        assert "helper ended" in told
        assert await echo(await helper.open(), b"again") == b"again"
        assert helper.pid != pid


async def test_a_helper_that_answers_others_is_not_restarted() -> None:
    async with running(hangs_s=1.0) as helper:
        channel = await helper.open()
        pid = helper.pid
        for _ in range(2):
            with pytest.raises(EngineError, match="no answer"):
                await channel.receive(0.6)
            assert await echo(await helper.open(), b"x") == b"x"
        assert helper.pid == pid


async def test_a_helper_that_no_longer_reads_is_ended() -> None:
    async with running(hangs_s=0.05) as helper:
        channel = await helper.open()
        pid = helper.pid
        await channel.send({"op": "hang"})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await channel.send({"op": "echo"}, bytes(1 << 20))  # more than the pipe holds
        with pytest.raises(EngineError, match="helper ended"):
            await channel.receive(TIMEOUT_S)
        assert await echo(await helper.open(), b"again") == b"again"
        assert helper.pid != pid


async def test_no_answer_in_time_is_an_error(helper: HelperProcess) -> None:
    channel = await helper.open()
    with pytest.raises(EngineError, match="no answer"):
        await channel.receive(0.001)
    assert await echo(channel, b"late") == b"late"


async def test_a_channel_that_nobody_reads_is_closed(helper: HelperProcess) -> None:
    channel, other = await helper.open(), await helper.open()
    for _ in range(1100):
        await channel.send({"op": "echo"}, b"x")
    await echo(other, b"all of those were answered")
    assert helper.open_channels == 1
    with pytest.raises(EngineError, match="nobody reads"):
        while True:
            await channel.receive(TIMEOUT_S)


async def test_a_cancelled_wait_leaves_the_helper_usable(helper: HelperProcess) -> None:
    channel = await helper.open()
    waiting = asyncio.create_task(channel.receive(TIMEOUT_S))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    channel.close({"op": "nothing it knows"})
    assert await echo(await helper.open(), b"ok") == b"ok"


async def test_close_ends_the_process_and_is_idempotent(helper: HelperProcess) -> None:
    channel = await helper.open()
    pid = helper.pid
    assert pid is not None
    await helper.close()
    await helper.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EngineError):
        await channel.receive(TIMEOUT_S)
    with pytest.raises(EngineError, match="was closed"):
        await helper.open()


async def test_a_module_that_does_not_run_is_an_error() -> None:
    async with running("tests.fakes.no_such_module") as helper:
        channel = await helper.open()
        with pytest.raises(EngineError):
            await channel.receive(TIMEOUT_S)
