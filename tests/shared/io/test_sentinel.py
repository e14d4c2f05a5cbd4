import asyncio
import os
import signal
from pathlib import Path

import pytest

from shared.errors import BrokerError
from shared.io.broker import BROKER_FAILURES, Redis, check_broker, connect, connect_blocking
from tests.fakes.redis_sentinel import running_sentinel


async def failover_is_over(client: Redis) -> None:
    """Return when a write succeeds. No attempt may take longer than its deadlines."""
    clock = asyncio.get_running_loop().time
    async with asyncio.timeout(60):
        while True:
            began_s = clock()
            try:
                await client.set("state", "promoted")
                return
            except BROKER_FAILURES:
                assert clock() - began_s < 5
                await asyncio.sleep(0.1)


async def test_commands_go_to_the_master_that_sentinel_names(tmp_path: Path) -> None:
    async with running_sentinel(tmp_path) as sentinel:
        client, blocking = connect(sentinel.url), connect_blocking(sentinel.url)
        await check_broker(client, sentinel.url)
        assert (await client.info("replication"))["role"] == "master"
        await client.xadd("inbox", {b"n": b"1"})
        assert await blocking.xread({"inbox": "0-0"}, block=10)
        for each in (client, blocking):
            await each.aclose()


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_after_a_failover_commands_go_to_the_new_master(tmp_path: Path, fault: signal.Signals) -> None:
    async with running_sentinel(tmp_path) as sentinel:
        client = connect(sentinel.url)
        old_master = await client.info("server")
        await asyncio.gather(*(client.incr("offers") for _ in range(40)))
        os.kill(old_master["process_id"], fault)
        await failover_is_over(client)
        assert (await client.info("server"))["process_id"] != old_master["process_id"]
        await asyncio.gather(*(client.incr("offers") for _ in range(40)))
        await client.aclose()


async def test_absent_sentinels_fail_at_once_and_are_named_without_secrets() -> None:
    url = "redis+sentinel://user:secret@127.0.0.1:1,127.0.0.1:2/antiphon?sentinel_password=secret"
    client = connect(url)
    with pytest.raises(BrokerError) as error:
        await check_broker(client, url)
    assert "no Redis at redis+sentinel://127.0.0.1:1,127.0.0.1:2/antiphon " in error.value.message
    assert "secret" not in error.value.message
    await client.aclose()
