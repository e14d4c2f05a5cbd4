import asyncio
import contextlib
from pathlib import Path
from typing import Any, cast

import pytest

from shared.errors import BrokerError
from shared.io.broker import BLOCK_MS, BROKER_FAILURES, Redis, check_broker, connect, connect_blocking
from tests.fakes.certificates import self_signed
from tests.fakes.counters import Gained
from tests.fakes.flaky_broker import FlakyBroker
from tests.fakes.own_broker import OwnBroker

CALLERS = 40


async def test_check_broker_returns_the_version(broker: Redis, broker_url: str) -> None:
    version = await check_broker(broker, broker_url)
    assert int(version.split(".")[0]) >= 7


class OldServer:
    """A client of a server that is too old."""

    async def info(self, section: str) -> dict[str, Any]:
        return {"redis_version": "6.2.14"} if section == "server" else {}


async def test_a_server_that_is_too_old_is_refused_with_both_versions() -> None:
    with pytest.raises(BrokerError, match=r"Redis 6\.2\.14 is too old: use 7\.0 or newer"):
        await check_broker(cast(Redis, OldServer()), "redis://x")


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    url = "redis://user:secret@127.0.0.1:1/0"
    client = connect(url)
    with pytest.raises(BrokerError) as error:
        await check_broker(client, url)
    await client.aclose()
    assert "no Redis at redis://127.0.0.1:1/0" in error.value.message
    assert "secret" not in error.value.message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://x",
        "127.0.0.1:6379",
        "redis://x:notaport",
        "redis://x?colour=red",
        "redis+cluster://x?colour=red",
        "redis+sentinel://x",
    ],
)
def test_an_invalid_address_is_named(url: str) -> None:
    for open_connection in (connect, connect_blocking):
        with pytest.raises(BrokerError) as error:
            open_connection(url)
        assert error.value.code == "broker_url"


async def test_a_lost_reply_fails_at_once_without_a_hidden_retry(broker: Redis, broker_url: str) -> None:
    async with FlakyBroker(broker_url).running() as flaky:
        client = connect(flaky.url)
        await client.ping()
        flaky.becomes("loses replies")
        with pytest.raises(BROKER_FAILURES):
            await client.incr("counter")
        assert await broker.get("counter") == b"1"
        await client.aclose()


async def test_a_blocking_read_without_result_is_not_a_failure(
    broker: Redis, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect_blocking(broker_url)
    timeout_s = client.connection_pool.connection_kwargs["socket_timeout"]
    assert timeout_s > 2 * BLOCK_MS / 1000
    assert not await client.xread({"absent": "0-0"}, block=10)
    await client.aclose()


async def test_a_server_that_never_answers_times_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    client = connect(url)
    async with asyncio.timeout(30):
        with pytest.raises(BrokerError):
            await check_broker(client, url)
    await client.aclose()
    server.close()


async def test_a_process_stops_at_any_point_of_a_command(broker: Redis, broker_url: str) -> None:
    """A cancellation during a command was lost, and the process hung at its end."""

    async def read(client: Redis) -> None:
        await client.xread({"absent": "0-0"}, block=BLOCK_MS)

    for steps in range(1, 45):
        client = connect_blocking(broker_url)
        reading = asyncio.ensure_future(read(client))
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await client.aclose()


@pytest.mark.parametrize("steps", range(12))
async def test_a_task_that_is_cancelled_while_it_connects_or_sends_ends(broker_url: str, steps: int) -> None:
    """Services did not stop: the cancellation was lost, and the task continued to read."""
    client = connect_blocking(broker_url)

    async def read_for_ever() -> None:
        while True:
            await client.xread({"absent": "0-0"}, block=BLOCK_MS)

    reader = asyncio.create_task(read_for_ever())
    for _ in range(steps):
        await asyncio.sleep(0)
    reader.cancel()
    done, _ = await asyncio.wait({reader}, timeout=30)
    assert done
    await client.aclose()


async def test_after_a_restart_of_the_broker_the_next_offers_are_taken(tmp_path: Path) -> None:
    """After 40 offers at once and a restart, 7 of the next 8 got `broker_unavailable`: dead sockets were handed out."""
    with OwnBroker(tmp_path).running() as own:
        client = connect(own.url)
        await asyncio.gather(*(client.incr("offers") for _ in range(CALLERS)))
        await asyncio.to_thread(own.restart)
        for _ in range(CALLERS):
            await client.incr("offers")
        await asyncio.gather(*(client.incr("offers") for _ in range(CALLERS)))
        await client.aclose()


async def test_when_the_brokers_machine_is_lost_one_command_fails_and_the_next_succeed(
    broker: Redis, broker_url: str
) -> None:
    """A lost machine closes no socket. Each idle connection cost a command and half a second."""
    async with FlakyBroker(broker_url).running() as flaky:
        client = connect(flaky.url)
        await asyncio.gather(*(client.incr("offers") for _ in range(CALLERS)))
        flaky.strands_its_connections()
        with pytest.raises(BROKER_FAILURES):
            await client.incr("offers")
        await asyncio.gather(*(client.incr("offers") for _ in range(CALLERS)))
        await client.aclose()


async def test_with_tls_the_authority_is_named_in_the_url(broker: Redis, broker_url: str, tmp_path: Path) -> None:
    tls, authority = self_signed(tmp_path)
    async with FlakyBroker(broker_url).running(tls) as secured:
        trusting, url = connect(f"{secured.url}?ssl_ca_certs={authority}"), secured.url
        await check_broker(trusting, url)
        await trusting.aclose()
        other = connect(url)
        with pytest.raises(BrokerError, match="certificate verify failed"):
            await check_broker(other, url)
        await other.aclose()


async def test_commands_and_the_writes_that_carry_them_are_counted(broker: Redis) -> None:
    await broker.ping()
    commands, writes = Gained("antiphon_broker_commands_total"), Gained("antiphon_broker_writes_total")
    await broker.set("a", "1")
    assert (commands(), writes()) == (1, 1)
    pipeline = broker.pipeline(transaction=False)
    for _ in range(3):
        pipeline.get("a")
    await pipeline.execute()
    assert (commands(), writes()) == (4, 2)
