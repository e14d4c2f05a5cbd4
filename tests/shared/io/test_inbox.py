import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.events import Message, SessionClosed
from shared.io.broker import Redis, connect, connect_blocking
from shared.io.inbox import PAYLOAD, Inbox, Received
from shared.wire import VERSION, encode_batch
from tests.fakes.counters import Gained
from tests.fakes.flaky_broker import FlakyBroker
from tests.fakes.own_broker import OwnBroker

KEY = "antiphon:m:me:in"
DEADLINE_S = 30


def message(reason: str) -> Message:
    return SessionClosed(session="s", reason=reason)


async def put(broker: Redis, number: int, reason: str, sender: str = "them", previous: int = 0) -> None:
    await broker.xadd(KEY, {PAYLOAD: encode_batch(sender, number, previous, [message(reason)])})


@pytest.fixture
async def blocking(broker_url: str) -> AsyncIterator[Redis]:
    client = connect_blocking(broker_url)
    yield client
    await client.aclose()


async def read(inbox: AsyncIterator[list[Received]], count: int) -> list[str]:
    """Reasons of the next `count` messages."""
    reasons: list[str] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(reasons) < count:
            for batch in await anext(inbox):
                reasons += [item.reason for item in batch.items if isinstance(item, SessionClosed)]
    return reasons


async def test_earlier_and_new_messages_are_delivered_once_and_in_order(broker: Redis, blocking: Redis) -> None:
    await put(broker, 1, "a")
    await put(broker, 2, "b")
    inbox = aiter(Inbox(blocking, KEY))
    assert await read(inbox, 2) == ["a", "b"]
    reading = asyncio.create_task(read(inbox, 1))
    await put(broker, 3, "c")
    assert await reading == ["c"]


async def test_a_repeated_batch_is_dropped_and_counted(broker: Redis, blocking: Redis) -> None:
    repeated = Gained("antiphon_inbox_repeated_total")
    for number, reason in [(1, "a"), (2, "b"), (2, "b"), (1, "a"), (3, "c")]:
        await put(broker, number, reason)
    assert await read(aiter(Inbox(blocking, KEY)), 3) == ["a", "b", "c"]
    assert repeated() == 2


async def test_each_sender_counts_for_itself(broker: Redis, blocking: Redis) -> None:
    await put(broker, 7, "a", sender="one")
    await put(broker, 1, "b", sender="other")
    assert await read(aiter(Inbox(blocking, KEY)), 2) == ["a", "b"]


async def test_garbage_is_counted_and_the_rest_is_read(broker: Redis, blocking: Redis) -> None:
    malformed = Gained("antiphon_inbox_malformed_total")
    await broker.xadd(KEY, {PAYLOAD: b"garbage"})
    await broker.xadd(KEY, {b"other": b"field"})
    await broker.xadd(KEY, {PAYLOAD: bytes([VERSION]) + b"\xc1"})
    await put(broker, 1, "a")
    assert await read(aiter(Inbox(blocking, KEY)), 1) == ["a"]
    assert malformed() == 3


async def test_many_senders_are_remembered_up_to_a_bound(
    broker: Redis, blocking: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.io.inbox._SENDERS_REMEMBERED", 2)
    for sender in ("one", "two", "one", "three"):
        await put(broker, 1 if sender != "one" else await broker.xlen(KEY) + 1, sender, sender=sender)
    inbox = Inbox(blocking, KEY)
    assert await read(aiter(inbox), 4) == ["one", "two", "one", "three"]
    repeated = Gained("antiphon_inbox_repeated_total")
    await put(broker, 1, "of one, who spoke lately", sender="one")
    await put(broker, 1, "of two, who was forgotten", sender="two")
    assert await read(aiter(inbox), 1) == ["of two, who was forgotten"]
    assert repeated() == 1


async def test_a_reader_notices_that_batches_were_lost(broker: Redis, blocking: Redis) -> None:
    gaps = Gained("antiphon_inbox_gaps_total")
    for number, previous in [(4, 2), (6, 4), (11, 9), (12, 11)]:
        await put(broker, number, "x", previous=previous)
    received = await anext(aiter(Inbox(blocking, KEY)))
    assert [batch.follows_gap for batch in received] == [False, False, True, False]
    assert gaps() == 1


async def test_a_broker_that_comes_back_empty_with_its_clock_behind_is_read(broker: Redis, broker_url: str) -> None:
    async with FlakyBroker(broker_url).running() as flaky:
        client = connect_blocking(flaky.url)
        inbox = aiter(Inbox(client, KEY))
        await broker.xadd(KEY, {PAYLOAD: encode_batch("them", 1, 0, [message("a")])}, id="9999999999999-0")
        assert await read(inbox, 1) == ["a"]
        flaky.becomes("is away")
        reading = asyncio.create_task(read(inbox, 2))
        async with asyncio.timeout(DEADLINE_S):
            await flaky.refused.wait()
        await broker.delete(KEY)
        await put(broker, 2, "b", previous=1)
        flaky.becomes("works")
        await put(broker, 3, "c", previous=2)
        assert await reading == ["b", "c"]
        await client.aclose()


async def test_a_sender_that_falls_silent_is_noticed(broker: Redis, blocking: Redis) -> None:
    inbox = Inbox(blocking, KEY)
    reader = aiter(inbox)
    await put(broker, 1, "a")
    assert await read(reader, 1) == ["a"]
    assert inbox.liveness.silent_s("them") == 0
    async with asyncio.timeout(DEADLINE_S):
        while inbox.liveness.silent_s("them") < 0.5:
            assert await anext(reader) == []
    await put(broker, 2, "b")
    assert await read(reader, 1) == ["b"]
    assert inbox.liveness.silent_s("them") == 0


async def test_silence_proves_nothing_while_the_brokers_memory_is_full(tmp_path: Path) -> None:
    """Everybody read on, could not write, and seemed lost to everybody: calls ended."""
    with OwnBroker(tmp_path).running() as own:
        broker, blocking = connect(own.url), connect_blocking(own.url)
        inbox = Inbox(blocking, KEY)
        reader, clock = aiter(inbox), asyncio.get_running_loop().time
        await put(broker, 1, "a")
        assert await read(reader, 1) == ["a"]
        await broker.config_set("maxmemory", "100kb")
        async with asyncio.timeout(DEADLINE_S):
            while not inbox.liveness.is_deaf(clock()):
                await anext(reader)
        assert not inbox.liveness.is_lost("them")
        await broker.config_set("maxmemory", "0")
        async with asyncio.timeout(DEADLINE_S):
            while inbox.liveness.is_deaf(clock()):
                await anext(reader)
        assert not inbox.liveness.is_lost("them")
        for client in (broker, blocking):
            await client.aclose()


async def test_messages_that_were_read_are_trimmed(
    broker: Redis, blocking: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.io.inbox._TEND_INTERVAL_S", 0.0)
    inbox = aiter(Inbox(blocking, KEY))
    for number in range(1, 11):
        await put(broker, number, "x")
        await read(inbox, 1)
    assert await broker.xlen(KEY) <= 3


async def test_no_message_is_lost_while_the_broker_is_away(broker: Redis, broker_url: str) -> None:
    async with FlakyBroker(broker_url).running() as flaky:
        client = connect_blocking(flaky.url)
        inbox = aiter(Inbox(client, KEY))
        await put(broker, 1, "a")
        assert await read(inbox, 1) == ["a"]
        flaky.becomes("is away")
        reading = asyncio.create_task(read(inbox, 2))
        async with asyncio.timeout(DEADLINE_S):
            await flaky.refused.wait()
        await put(broker, 2, "b")
        await put(broker, 3, "c")
        flaky.becomes("works")
        assert await reading == ["b", "c"]
        await client.aclose()


async def test_a_reader_that_is_cancelled_ends(blocking: Redis, broker: Redis) -> None:
    reading = asyncio.create_task(read(aiter(Inbox(blocking, KEY)), 1))
    await put(broker, 1, "a")
    await reading
    waiting = asyncio.create_task(read(aiter(Inbox(blocking, KEY)), 5))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert waiting.cancelled()


async def test_the_way_through_the_broker_is_measured_once_a_second(broker: Redis, blocking: Redis) -> None:
    hops = Gained("antiphon_broker_hop_seconds_count")
    await put(broker, 1, "a")
    inbox = aiter(Inbox(blocking, KEY))
    await read(inbox, 1)
    assert hops() == 1
    await put(broker, 2, "b")
    await read(inbox, 1)
    assert hops() == 1


async def test_messages_that_come_one_after_another_are_read_together(broker: Redis, blocking: Redis) -> None:
    """A read for each message was most of a broker's work."""
    count = 200

    async def write() -> None:
        for number in range(1, count + 1):
            await put(broker, number, "x")

    writing = asyncio.create_task(write())
    began_s, reads, received = asyncio.get_running_loop().time(), 0, 0
    async with asyncio.timeout(DEADLINE_S):
        async for batches in Inbox(blocking, KEY):
            reads += bool(batches)
            received += len(batches)
            if received == count:
                break
    await writing
    assert reads <= 1 + (asyncio.get_running_loop().time() - began_s) / 0.002
