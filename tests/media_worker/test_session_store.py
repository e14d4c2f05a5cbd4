"""The record and the events of sessions, on a real broker."""

import asyncio
import random
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from media_worker.session_store import SessionStore
from shared import keys
from shared.events import client_event
from shared.io.broker import BROKER_FAILURES, Redis, connect
from tests.fakes.own_broker import OwnBroker
from tests.fakes.virtual_time import in_virtual_time


def a_store(client: Redis) -> tuple[SessionStore, list[str]]:
    superseded: list[str] = []
    return SessionStore(client, superseded.append), superseded


def an_event(seq: int) -> dict[str, Any]:
    return client_event("transcript", seq, {"text": str(seq)})


async def seqs(broker: Redis) -> list[bytes]:
    return [entry_id for entry_id, _ in cast(Any, await broker.xrange(keys.events("s1")))]


async def test_an_event_whose_reply_was_lost_is_stored_once(broker: Redis) -> None:
    store, _ = a_store(broker)
    for seq in (3, 5):
        store.add_event("s1", 1, an_event(seq), number=seq)
    await store.write()
    store.add_event("s1", 1, an_event(3), number=3)
    store.add_event("s1", 1, an_event(5), number=5)
    store.add_event("s1", 1, an_event(6), number=6)
    await store.write()
    assert await seqs(broker) == [b"3-0", b"5-0", b"6-0"]


async def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    with OwnBroker(tmp_path).running() as own:
        client = connect(own.url)
        store, _ = a_store(client)
        store.save("s1", 1, {"generation": "1", "agent": "a"})
        store.add_event("s1", 1, an_event(1), 0)
        await client.client_pause(1_200)
        with pytest.raises(BROKER_FAILURES):
            await store.write()
        with capture_logs():
            writing = asyncio.create_task(store.run())
            async with asyncio.timeout(10):
                while not await _answers(client, "s1"):  # noqa: ASYNC110 - a key has no event
                    await asyncio.sleep(0.05)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        assert await seqs(client) == [b"1-0"]
        await client.aclose()


async def test_a_session_that_cannot_be_written_does_not_delay_the_others(broker: Redis) -> None:
    store, superseded = a_store(broker)
    await broker.set(keys.session("s1"), "not a record")
    await broker.hset(keys.session("s2"), mapping={"generation": "2"})
    for session in ("s1", "s2", "s3"):
        store.save(session, 1, {"generation": "1"})
        store.add_event(session, 1, an_event(1), 0)
    with pytest.raises(BROKER_FAILURES):
        await store.write()
    assert superseded == ["s2"]
    await broker.delete(keys.session("s1"))
    await store.write()
    assert await broker.exists(*(keys.session(session) for session in ("s1", "s2", "s3"))) == 3


async def _answers(client: Redis, session: str) -> bool:
    try:
        return bool(await client.exists(keys.session(session), keys.events(session)) == 2)
    except BROKER_FAILURES:
        return False


async def test_a_later_generation_keeps_its_record(broker: Redis) -> None:
    mine, superseded = a_store(broker)
    theirs, _ = a_store(broker)
    mine.save("s1", 1, {"generation": "1", "media_worker": "m1"})
    await mine.write()
    theirs.save("s1", 2, {"generation": "2", "media_worker": "m2"})
    await theirs.write()
    mine.save("s1", 1, {"generation": "1", "media_worker": "m1"})
    await mine.write()
    assert superseded == ["s1"]
    mine.delete("s1", 1)
    await mine.write()
    assert await cast(Any, broker.hget(keys.session("s1"), "media_worker")) == b"m2"
    theirs.delete("s1", 2)
    await theirs.write()
    assert await broker.keys("antiphon:s:*") == []


async def test_the_end_of_an_old_connection_does_not_delete_what_the_new_one_keeps(broker: Redis) -> None:
    store, _ = a_store(broker)
    store.save("s1", 1, {"generation": "1"})
    store.save("s1", 2, {"generation": "2"})
    store.save("s1", 1, {"generation": "1"})
    store.delete("s1", 1)
    assert not store.forget("s1", 1)
    await store.write()
    assert await cast(Any, broker.hget(keys.session("s1"), "generation")) == b"2"


async def test_keys_expire_once_nobody_renews_them(broker: Redis) -> None:
    store, _ = a_store(broker)
    store.save("s1", 1, {"generation": "1"})
    store.add_event("s1", 1, an_event(1), 0)
    await store.write()
    store.forget("s1", 1)
    for key in (keys.session("s1"), keys.events("s1")):
        assert 50 < await broker.ttl(key) <= 60


@pytest.mark.parametrize("retention_s", [0, 300])
async def test_a_session_that_lost_its_pipeline_worker_for_good_leaves_no_conversation(
    broker: Redis, retention_s: int
) -> None:
    store = SessionStore(broker, lambda _: None, retention_s)
    store.save("s1", 1, {"generation": "1"})
    await store.write()
    await broker.set(keys.turn("s1"), "{}")
    await broker.rpush(keys.conversation("s1"), "{}")
    store.delete("s1", 1, orphaned=True)
    await store.write()
    assert await broker.exists(keys.session("s1"), keys.turn("s1")) == 0
    assert await broker.ttl(keys.conversation("s1")) == (retention_s or -2)


async def test_a_media_worker_that_was_stopped_does_not_shorten_the_life_of_a_conversation_that_has_moved(
    broker: Redis,
) -> None:
    store = SessionStore(broker, lambda _: None, retention_s=5)
    theirs, _ = a_store(broker)
    theirs.save("s1", 2, {"generation": "2", "media_worker": "m2"})
    await theirs.write()
    await broker.rpush(keys.conversation("s1"), "{}")
    await broker.expire(keys.conversation("s1"), 90)
    store.save("s1", 1, {"generation": "1", "media_worker": "m1"})
    store.delete("s1", 1, orphaned=True)
    await store.write()
    assert await broker.ttl(keys.conversation("s1")) > 5


async def test_what_changes_while_the_record_is_being_written_is_written_too(broker: Redis) -> None:
    store, _ = a_store(broker)
    store.save("s1", 1, {"generation": "1", "gateway": "g1"})
    writing = asyncio.create_task(store.write())
    await asyncio.sleep(0)  # it has taken the record
    store.save("s1", 1, {"generation": "1", "gateway": "g2"})
    await writing
    await store.write()
    assert await broker.hget(keys.session("s1"), "gateway") == b"g2"


async def test_the_events_of_a_quiet_session_live_as_long_as_its_record(broker: Redis) -> None:
    store, _ = a_store(broker)
    store.save("s1", 1, {"generation": "1"})
    store.add_event("s1", 1, an_event(1), 0)
    await store.write()
    for key in (keys.session("s1"), keys.events("s1")):
        await broker.expire(key, 10)
    store._kept["s1"].renew_s = 0.0
    await store.write()
    for key in (keys.session("s1"), keys.events("s1")):
        assert await broker.ttl(key) > 50


async def figures(broker: Redis) -> dict[bytes, bytes]:
    record = await cast(Any, broker.hgetall(keys.session("s1")))
    return {name: record[name] for name in (b"answer_ms", b"loss_percent") if name in record}


async def renew(store: SessionStore) -> None:
    """As a few seconds later."""
    store._kept["s1"].renew_s = 0.0
    await store.write()


async def test_figures_are_written_when_the_record_is_renewed_and_not_before(broker: Redis) -> None:
    store, _ = a_store(broker)
    store.measure("s1", 1, {"answer_ms": "900"})
    assert store._kept == {}, "it is not ours, or not any more"
    store.save("s1", 1, {"generation": "1", "media_worker": "m1"})
    store.measure("s1", 1, {"answer_ms": "900"})
    store.measure("s1", 1, {"loss_percent": "1.3"})
    await store.write()
    await store.write()
    assert await figures(broker) == {}
    await renew(store)
    assert await figures(broker) == {b"answer_ms": b"900", b"loss_percent": b"1.3"}
    assert 50 < await broker.ttl(keys.session("s1")) <= 60
    store.measure("s1", 1, {"loss_percent": "0.0"})
    await renew(store)
    assert await figures(broker) == {b"answer_ms": b"900", b"loss_percent": b"0.0"}


async def test_figures_that_are_the_same_are_not_written_again(broker: Redis) -> None:
    store, _ = a_store(broker)
    store.save("s1", 1, {"generation": "1", "media_worker": "m1"})
    store.measure("s1", 1, {"loss_percent": "0.0"})
    await store.write()
    await renew(store)
    await broker.hdel(keys.session("s1"), "loss_percent")
    store.measure("s1", 1, {"loss_percent": "0.0"})
    await renew(store)
    assert await figures(broker) == {}


async def test_figures_come_back_with_the_record_that_the_broker_had_lost(broker: Redis) -> None:
    store, _ = a_store(broker)
    store.save("s1", 1, {"generation": "1", "media_worker": "m1"})
    store.measure("s1", 1, {"answer_ms": "900"})
    await store.write()
    await renew(store)
    await broker.flushall()
    with capture_logs():
        await renew(store)
    assert await broker.exists(keys.session("s1")) == 0, "figures alone are no record"
    await store.write()
    await renew(store)
    assert await figures(broker) == {b"answer_ms": b"900"}


async def test_a_media_worker_that_was_stopped_does_not_write_its_figures_into_the_record_of_its_successor(
    broker: Redis,
) -> None:
    mine, _ = a_store(broker)
    theirs, _ = a_store(broker)
    mine.save("s1", 1, {"generation": "1", "media_worker": "m1"})
    mine.measure("s1", 1, {"answer_ms": "900"})
    await mine.write()
    theirs.save("s1", 2, {"generation": "2", "media_worker": "m2"})
    await theirs.write()
    await renew(mine)
    assert await figures(broker) == {}


async def test_the_conversation_of_an_ended_session_is_its_pipeline_workers_to_delete(broker: Redis) -> None:
    store, _ = a_store(broker)
    store.save("s1", 1, {"generation": "1"})
    await broker.rpush(keys.conversation("s1"), "{}")
    store.delete("s1", 1)
    await store.write()
    assert await broker.keys("antiphon:s:*") == [keys.conversation("s1").encode()]


async def test_two_offers_at_once_do_not_give_a_session_to_two_media_workers(broker: Redis) -> None:
    """The second one had no agent, and held a slot for as long as its client sent packets."""
    first, _ = a_store(broker)
    second, superseded = a_store(broker)
    first.save("s1", 2, {"generation": "2", "media_worker": "m2"})
    await first.write()
    second.save("s1", 2, {"generation": "2", "media_worker": "m3"})
    await second.write()
    first.save("s1", 2, {"generation": "2", "media_worker": "m2", "gateway": "g2"})
    await first.write()
    assert superseded == ["s1"]
    assert await broker.hget(keys.session("s1"), "media_worker") == b"m2"
    assert await broker.hget(keys.session("s1"), "gateway") == b"g2"


class _EmptiedBroker:
    """Counts the records that each pipeline writes."""

    def __init__(self) -> None:
        self.is_away = False
        self.records: set[str] = set()
        self.written: list[int] = []

    def pipeline(self, transaction: bool) -> "_EmptiedBroker":
        self._commands: list[tuple[str, str]] = []
        return self

    def eval(self, _script: str, _keys: int, key: str, *_: str) -> None:
        self._commands.append(("save", key))

    def expire(self, key: str, _seconds: int) -> None:
        self._commands.append(("expire", key))

    async def execute(self, raise_on_error: bool) -> list[int]:
        if self.is_away:
            raise ConnectionError("away")
        saved = [key for command, key in self._commands if command == "save"]
        replies = [1 if command == "save" else int(key in self.records) for command, key in self._commands]
        self.records.update(saved)
        self.written.append(len(saved))
        return replies


@in_virtual_time
async def test_a_hundred_sessions_do_not_write_their_records_at_once_when_the_broker_comes_back_empty() -> None:
    """All did, of all media workers, a moment after its return."""
    broker, rng = _EmptiedBroker(), random.Random(1)
    store = SessionStore(cast(Redis, broker), lambda _: None, chance=rng.random)
    for number in range(100):
        store.save(f"s{number}", 1, {"generation": "1"})
    with capture_logs():
        running = asyncio.create_task(store.run())
        await asyncio.sleep(3)
        assert len(broker.records) == 100
        broker.is_away = True
        await asyncio.sleep(30)
        broker.is_away = False
        broker.records.clear()
        broker.written.clear()
        await asyncio.sleep(2.5)
        running.cancel()
        await asyncio.wait({running})
    assert len(broker.records) == sum(broker.written) == 100
    assert max(broker.written) < 30
    assert sum(count > 0 for count in broker.written) > 10


@in_virtual_time
async def test_clients_that_came_back_after_a_short_outage_lost_their_sessions() -> None:
    """Nothing was written meanwhile, so nobody noticed it, and the records were missing until their renewal."""
    for sessions in (1, 100):
        broker, rng = _EmptiedBroker(), random.Random(1)
        store = SessionStore(cast(Redis, broker), lambda _: None, chance=rng.random)
        for number in range(sessions):
            store.save(f"s{number}", 1, {"generation": "1"})
        with capture_logs():
            running = asyncio.create_task(store.run())
            await asyncio.sleep(0.2)
            assert len(broker.records) == sessions
            broker.records.clear()
            broker.written.clear()
            await asyncio.sleep(3.2)
            running.cancel()
            await asyncio.wait({running})
        assert len(broker.records) == sum(broker.written) == sessions
        assert max(broker.written) < 30
