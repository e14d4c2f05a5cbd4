"""The lists and counters of sessions, on a real broker."""

import asyncio
import time
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from gateway.session_limits import SessionLimits
from media_worker.session_index import SessionIndex
from shared import keys
from shared.errors import RefusedError
from shared.io.broker import BROKER_FAILURES, Redis, connect
from shared.io.heartbeat import wall_ms
from shared.worker_report import COUNTED_MS
from tests.fakes.own_broker import OwnBroker

KEY, AGENT = keys.counter("key", "website"), keys.counter("agent", "desk")
LIST = keys.sessions("m1")
BOTH = (KEY, AGENT)


async def members(broker: Redis, key: str) -> list[str]:
    return [member.decode() for member in cast(list[bytes], await broker.zrange(key, 0, -1))]


async def test_a_session_counts_from_its_offer_on_and_is_listed_when_its_caller_is_connected(broker: Redis) -> None:
    index = SessionIndex(broker, "m1")
    index.add("s1", 1, BOTH)
    await index.write()
    assert (await members(broker, KEY), await members(broker, AGENT)) == (["s1"], ["s1"])
    assert await members(broker, LIST) == []
    index.enlist("s1", 1, 1_700_000_000_000)
    await index.write()
    assert await members(broker, LIST) == ["1700000000000-s1"]
    index.remove("s1", 1, moved=False)
    await index.write()
    assert await broker.keys("*") == []


async def test_a_limit_holds_although_the_machines_clock_differs_from_the_brokers(
    broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a broker ten minutes ahead nothing was counted."""
    now_ns = time.time_ns()
    monkeypatch.setattr("time.time_ns", lambda: now_ns - 600 * 10**9)
    index = SessionIndex(broker, "m1")
    index.add("s1", 1, (AGENT,))
    await index.write()
    with pytest.raises(RefusedError):
        await SessionLimits(broker).take("s2", {AGENT: 1})


async def test_a_session_that_moved_is_counted_by_its_new_media_worker(broker: Redis) -> None:
    old, new = SessionIndex(broker, "m1"), SessionIndex(broker, "m2")
    for index, generation in ((old, 1), (new, 2)):
        index.add("s1", generation, (KEY,))
        index.enlist("s1", generation, 5)
        await index.write()
    old.remove("s1", 1, moved=True)
    await old.write()
    assert (await members(broker, KEY), await members(broker, LIST)) == (["s1"], [])
    assert await members(broker, keys.sessions("m2")) == ["0000000000005-s1"]


async def test_a_client_that_came_back_to_the_same_media_worker_stays_counted_and_listed(broker: Redis) -> None:
    index = SessionIndex(broker, "m1")
    index.add("s1", 1, (KEY,))
    index.enlist("s1", 1, 5)
    index.add("s1", 2, (KEY,))
    index.remove("s1", 1, moved=True)
    index.enlist("s1", 2, 5)
    await index.write()
    assert (await members(broker, KEY), await members(broker, LIST)) == (["s1"], ["0000000000005-s1"])


async def test_everything_of_a_killed_process_expires(broker: Redis) -> None:
    index = SessionIndex(broker, "m1")
    index.add("s1", 1, (KEY,))
    index.enlist("s1", 1, 5)
    await index.write()
    until_ms = await broker.zscore(KEY, "s1") or 0
    assert 0 < until_ms - wall_ms() <= COUNTED_MS
    assert 0 < await broker.pttl(KEY) <= COUNTED_MS
    assert 0 < await broker.ttl(LIST) <= 60


async def test_a_broker_that_comes_back_empty_gets_everything_again(
    broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_worker.session_index._RENEW_S", 0.05)
    index = SessionIndex(broker, "m1")
    index.add("s1", 1, BOTH)
    index.enlist("s1", 1, 5)
    writing = asyncio.create_task(index.run())
    for _ in range(2):
        async with asyncio.timeout(5):
            while not (await members(broker, KEY) and await members(broker, LIST)):  # noqa: ASYNC110 - a key has no event
                await asyncio.sleep(0.01)
        await broker.flushall()
    writing.cancel()
    await asyncio.wait({writing})


async def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    with OwnBroker(tmp_path).running() as own:
        client = connect(own.url)
        index = SessionIndex(client, "m1")
        index.add("s1", 1, (KEY,))
        index.add("s2", 1, (KEY,))
        await index.write()
        index.remove("s1", 1, moved=False)
        index.add("s3", 1, (KEY,))
        await client.client_pause(1_200)
        with pytest.raises(BROKER_FAILURES):
            await index.write()
        with capture_logs():
            writing = asyncio.create_task(index.run())
            async with asyncio.timeout(10):
                while await _members_or_none(client) != ["s2", "s3"]:  # noqa: ASYNC110 - a key has no event
                    await asyncio.sleep(0.05)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        await client.aclose()


async def _members_or_none(client: Redis) -> list[str]:
    try:
        return sorted(await members(client, KEY))
    except BROKER_FAILURES:
        return []
