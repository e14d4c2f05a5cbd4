import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from pipeline_worker.engines.helper_process import Channel, HelperProcess
from shared.errors import EngineError

HELPER = "tests.fakes.stand_in_helper"
TIMEOUT_S = 20


@pytest.fixture
async def helper() -> AsyncIterator[HelperProcess]:
    helper = HelperProcess(HELPER, name="stand-in")
    yield helper
    await helper.close()


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
        with pytest.raises(EngineError):  # for as long as it is asked
            await channel.receive(TIMEOUT_S)
        with pytest.raises(EngineError):
            await channel.send({"op": "echo"})
        channel.close({"op": "cancel"})
    assert await echo(await helper.open(), b"again") == b"again"
    assert helper.pid != first_pid


async def test_a_dying_helper_that_takes_nothing_any_more_serves_nobody(helper: HelperProcess) -> None:
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

    helper = HelperProcess(HELPER, name="stand-in", prepare=prepare)
    try:
        channel = await helper.open()
        await helper.open()
        assert len(prepared) == 1
        await channel.send({"op": "die"})
        with pytest.raises(EngineError):
            await channel.receive(TIMEOUT_S)
        await helper.open()
        assert len(prepared) == 2
    finally:
        await helper.close()


async def test_no_answer_in_time_is_an_error(helper: HelperProcess) -> None:
    channel = await helper.open()
    with pytest.raises(EngineError, match="no answer"):
        await channel.receive(0.001)
    assert await echo(channel, b"late") == b"late"


async def test_a_listener_that_does_not_listen_loses_its_channel(helper: HelperProcess) -> None:
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
    helper = HelperProcess("tests.fakes.no_such_module", name="missing")
    try:
        channel = await helper.open()
        with pytest.raises(EngineError):
            await channel.receive(TIMEOUT_S)
    finally:
        await helper.close()
