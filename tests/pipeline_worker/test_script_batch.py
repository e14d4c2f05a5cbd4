import asyncio

import pytest

from pipeline_worker.script_batch import ScriptBatch
from shared.io.broker import BROKER_FAILURES, CommandRefused, Redis, connect
from tests.fakes.ports import free_port

ECHO = "return {KEYS[1], ARGV[1]}"


async def test_scripts_of_many_sessions_take_one_round_trip(broker: Redis) -> None:
    trips = 0
    scripts = ScriptBatch(broker)
    pipeline = broker.pipeline

    def counted(transaction: bool) -> object:
        nonlocal trips
        trips += 1
        return pipeline(transaction=transaction)

    broker.pipeline = counted  # type: ignore[method-assign, assignment]
    replies = await asyncio.gather(*(scripts.run(ECHO, (f"k{number}",), number) for number in range(50)))
    assert replies == [[f"k{number}".encode(), str(number).encode()] for number in range(50)]
    assert trips == 1


async def test_a_script_that_the_broker_refuses_fails_alone(broker: Redis) -> None:
    scripts = ScriptBatch(broker)
    refused, answered = await asyncio.gather(
        scripts.run("return redis.call('NO-SUCH')", ("k",)), scripts.run(ECHO, ("k",), 1), return_exceptions=True
    )
    assert isinstance(refused, CommandRefused)
    assert answered == [b"k", b"1"]


async def test_all_fail_when_the_broker_is_away_and_a_caller_who_waits_no_longer_harms_nobody() -> None:
    nobody = connect(f"redis://127.0.0.1:{free_port()}/0")
    scripts = ScriptBatch(nobody)
    given_up = asyncio.create_task(scripts.run(ECHO, ("k",), 1))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(BROKER_FAILURES):
        await scripts.run(ECHO, ("k",), 2)
    with pytest.raises(BROKER_FAILURES):
        await scripts.run(ECHO, ("k",), 3)
    await nobody.aclose()
