import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from gateway.fleet import Fleet
from gateway.placement_store import PlacementStore
from gateway.session_limits import SessionLimits
from gateway.session_list import SessionList
from media_worker.session_index import SessionIndex
from shared import keys
from shared.errors import RefusedError
from shared.io.broker import BROKER_FAILURES, Redis, check_broker, connect, connect_blocking
from shared.io.heartbeat import Heartbeat, live_workers
from shared.worker_report import WorkerReport
from tests.fakes.media_worker import announce_worker
from tests.fakes.redis_cluster import RealCluster, running_cluster

CALLS = 10
MESSAGES = 60
INBOXES = [f"antiphon:m:{number}:in" for number in range(CALLS)]


def inbox_of(cluster: RealCluster, master: int) -> str:
    """A key that this master holds."""
    return next(key for key in INBOXES if key_slot(key.encode()) * 3 // 16_384 == master)


async def read(client: Redis, inbox: str, after: bytes = b"0-0") -> list[tuple[bytes, int]]:
    """The ids and numbers of the next entries, as `Inbox` reads them."""
    untyped: Any = client
    reply = await untyped.execute_command("XREAD", "COUNT", 200, "BLOCK", 400, "STREAMS", inbox, after)
    return [(entry_id, int(fields[b"n"])) for _, entries in reply or () for entry_id, fields in entries]


async def test_all_that_services_do_works_on_a_cluster(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        client, blocking = connect(cluster.url), connect_blocking(cluster.url)
        assert (await check_broker(client, cluster.url))[0].isdigit()
        await announce_worker(cluster.url, "media", "m1", 1)
        await announce_worker(cluster.url, "pipeline", "p1", 1, pool="default")
        assert [report.worker_id for report in await live_workers(client, "media")] == ["m1"]
        assert await PlacementStore(client).reserve("s1", ["m1"], "default", ["p1"]) == 0

        pipeline = client.pipeline(transaction=False)
        for number, inbox in enumerate(INBOXES):
            pipeline.xadd(inbox, {b"n": number})
            pipeline.expire(inbox, 60)
        assert (await pipeline.execute())[1::2] == [True] * CALLS
        for number, inbox in enumerate(INBOXES):
            assert [found for _, found in await read(blocking, inbox)] == [number]
        assert await read(blocking, "antiphon:m:nobody:in") == []

        await client.rpush("antiphon:jobs:default", b"job")
        assert await blocking.blmpop(1, 1, "antiphon:jobs:default", direction="LEFT") == [
            b"antiphon:jobs:default",
            [b"job"],
        ]
        lists = keys.jobs("default", "zone-a"), keys.jobs("default")
        await client.rpush(lists[1], b"job")
        assert await blocking.blmpop(1, 2, *lists, direction="LEFT") == [lists[1].encode(), [b"job"]]
        transaction = client.pipeline(transaction=True)
        transaction.rpush("{s1}:conversation", "hello")
        transaction.expire("{s1}:conversation", 60)
        assert await transaction.execute() == [1, 1]
        assert await transaction.execute() == []
        transaction.set("{s1}:agent", "desk")
        transaction.rpush("{s1}:agent", "item")
        with pytest.raises(BROKER_FAILURES, match="WRONGTYPE"):
            await transaction.execute()
        for each in (client, blocking):
            await each.aclose()


async def test_what_operators_and_limits_do_works_on_a_cluster(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        client = connect(cluster.url)
        heartbeat = Heartbeat(client, lambda: WorkerReport(worker_id="m1", kind="media"))
        await heartbeat.announce()
        await Fleet(client).wish("m1", "draining")
        await heartbeat.announce()
        assert heartbeat.wish == "draining"

        counters = {keys.counter("key", "website"): 2, keys.counter("agent", "desk"): 1}
        limits, index, listed = SessionLimits(client), SessionIndex(client, "m1"), SessionList(client)
        await limits.take("s1", counters)
        with pytest.raises(RefusedError):
            await limits.take("s2", counters)
        for number in range(CALLS):
            await client.hset(keys.session(f"s{number}"), mapping={"agent": "desk", "media_worker": "m1"})
            index.add(f"s{number}", 1, tuple(counters))
            index.enlist(f"s{number}", 1, number)
        await index.write()
        page = await listed.page(2)
        assert ([record.session for record in page.records], page.total) == (["s9", "s8"], CALLS)
        for number in range(CALLS):
            index.remove(f"s{number}", 1, moved=False)
        await index.write()
        assert await listed.page(2) == ([], 0, "")
        await heartbeat.withdraw()
        left = [*counters, keys.sessions("m1"), keys.wish("media", "m1"), keys.worker("media", "m1")]
        assert [key for key in left if await client.exists(key)] == []
        await client.aclose()


async def test_no_message_is_lost_or_delayed_while_the_cluster_is_resharded(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        writer, readers = connect(cluster.url), [connect_blocking(cluster.url) for _ in INBOXES]

        async def write() -> None:
            for number in range(MESSAGES):
                pipeline = writer.pipeline(transaction=False)
                for inbox in INBOXES:
                    pipeline.xadd(inbox, {b"n": number})
                await asyncio.gather(pipeline.execute(), *map(take_turn, INBOXES))
                await asyncio.sleep(0.02)

        async def take_turn(inbox: str) -> None:
            transaction = writer.pipeline(transaction=True)
            transaction.incr(f"{{{inbox}}}:turns")
            transaction.set(f"{{{inbox}}}:last", "word")
            await transaction.execute()

        async def read_all(client: Redis, inbox: str) -> list[int]:
            position, numbers = b"0-0", list[int]()
            while len(numbers) < MESSAGES:
                for entry_id, number in await read(client, inbox, position):
                    position = entry_id
                    numbers.append(number)
            return numbers

        def reshard() -> None:
            for inbox in INBOXES:
                slot = key_slot(inbox.encode())
                if (owner := slot * 3 // 16_384) != 2:
                    cluster.move_slot(slot, owner, 2)

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            reading = [group.create_task(read_all(*pair)) for pair in zip(readers, INBOXES, strict=True)]
            writing = group.create_task(write())
            await asyncio.sleep(0.1)
            await asyncio.to_thread(reshard)
            assert not writing.done()
        assert all(task.result() == list(range(MESSAGES)) for task in reading)
        for inbox in INBOXES:
            assert await writer.get(f"{{{inbox}}}:turns") == str(MESSAGES).encode()
        for client in (writer, *readers):
            await client.aclose()


async def test_a_node_that_joined_after_the_client_looked_may_take_slots(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        client: Any = connect(cluster.url)
        key = inbox_of(cluster, 0)
        assert await client.get(key) is None
        client.nodes_manager.nodes_cache.pop(f"127.0.0.1:{cluster.servers[2].port}")
        cluster.begin_move(key_slot(key.encode()), 0, 2)
        await asyncio.gather(*(client.incr(key) for _ in range(CALLS)))
        assert await client.get(key) == str(CALLS).encode()
        await client.aclose()


async def test_a_lost_master_fails_only_its_own_commands_until_its_replica_takes_over(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        client = connect(cluster.url)
        lost, kept = inbox_of(cluster, 0), inbox_of(cluster, 1)

        async def write() -> tuple[Any, Any]:
            pipeline = client.pipeline(transaction=False)
            pipeline.incr(lost)
            pipeline.incr(kept)
            first, second = await pipeline.execute(raise_on_error=False)
            return first, second

        assert await write() == (1, 1)
        await asyncio.to_thread(cluster.servers[0].terminate)
        reply, other = await write()
        assert isinstance(reply, BROKER_FAILURES)
        assert other == 2
        async with asyncio.timeout(30):
            while not isinstance(reply, int):
                await asyncio.sleep(0.1)
                with contextlib.suppress(*BROKER_FAILURES):  # no node knows yet who has the slots
                    reply, _ = await write()
        assert reply == 2
        await client.aclose()


async def test_a_cluster_that_is_not_there_fails_like_any_broker() -> None:
    client = connect("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(BROKER_FAILURES):
        await client.get("key")
    pipeline = client.pipeline(transaction=False)
    pipeline.get("key")
    with pytest.raises(BROKER_FAILURES):
        await pipeline.execute()
    await client.aclose()
