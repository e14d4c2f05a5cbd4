import asyncio
import json

import pytest

from gateway.core.session_record import SessionRecord, StoredEvent
from gateway.session_directory import KnownSession, SessionDirectory
from shared import keys
from shared.errors import BrokerError
from shared.events import client_event
from shared.io.broker import Redis, connect

FIELDS = {"agent": "echo", "pool": "gpu", "media_worker": "m1", "generation": "2", "resume_tokens": "aa,bb"}


async def store(broker: Redis, seq: int, number: int = 0) -> StoredEvent:
    event = client_event("status", seq, {"status": "listening"})
    await broker.xadd(keys.events("s1"), {"e": json.dumps(event), "n": str(number)})
    return StoredEvent(number, event)


async def test_a_session_is_found_with_its_events_oldest_first(broker: Redis) -> None:
    await broker.hset(keys.session("s1"), mapping=FIELDS)  # type: ignore[arg-type]  # an invariant dict
    events = [await store(broker, 1), await store(broker, 2, number=1)]
    record = SessionRecord(
        session="s1", agent="echo", pool="gpu", media_worker="m1", generation=2, resume_tokens=("aa", "bb")
    )
    directory = SessionDirectory(broker)
    assert await directory.find("s1") == KnownSession(record, events)
    assert await directory.find("s2") is None


async def test_a_session_that_has_just_been_answered_is_waited_for(broker: Redis) -> None:
    directory = SessionDirectory(broker)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(directory.wait_for("s1"))
        await asyncio.sleep(0.05)
        await broker.hset(keys.session("s1"), mapping=FIELDS)  # type: ignore[arg-type]  # an invariant dict
    known = waiting.result()
    assert known is not None
    assert known.record.session == "s1"
    assert await directory.wait_for("s2") is None


async def test_a_client_that_came_back_right_after_a_broker_that_was_empty_lost_its_session(broker: Redis) -> None:
    """A drained node took the broker along: the client moved before its media worker had written the record again."""
    directory = SessionDirectory(broker, lambda: False)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(directory.wait_for("s1"))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        await broker.hset(keys.session("s1"), mapping=FIELDS)  # type: ignore[arg-type]  # an invariant dict
    known = waiting.result()
    assert known is not None
    assert known.record.session == "s1"


async def test_of_many_events_the_newest_are_read(broker: Redis) -> None:
    await broker.hset(keys.session("s1"), mapping=FIELDS)  # type: ignore[arg-type]  # an invariant dict
    for seq in range(1, 251):
        await store(broker, seq)
    known = await SessionDirectory(broker).find("s1")
    assert known is not None
    assert [each.seq for each in known.events] == list(range(51, 251))


async def test_an_event_that_comes_while_the_gateway_is_attached_is_among_the_settled_ones(broker: Redis) -> None:
    directory = SessionDirectory(broker)
    reading = directory.settled_events("s1")
    event = await store(broker, 1)
    assert await reading == [event]


@pytest.mark.parametrize("fields", [{"media_worker": "m1"}, {**FIELDS, "generation": "two"}])
async def test_a_malformed_record_is_no_session(broker: Redis, fields: dict[str, str]) -> None:
    await broker.hset(keys.session("s1"), mapping=fields)  # type: ignore[arg-type]
    assert await SessionDirectory(broker).find("s1") is None


async def test_a_malformed_event_does_not_cost_the_others(broker: Redis) -> None:
    for fields in ({"e": "not JSON"}, {"n": "1"}, {"e": "[]", "n": "x"}, {"e": "7"}):
        await broker.xadd(keys.events("s1"), fields)  # type: ignore[arg-type]
    event = await store(broker, 1)
    assert await SessionDirectory(broker).settled_events("s1") == [event]


async def test_the_broker_is_away() -> None:
    away = connect("redis://127.0.0.1:1/0")
    directory = SessionDirectory(away)
    with pytest.raises(BrokerError):
        await directory.find("s1")
    assert await directory.settled_events("s1") == []
    await away.aclose()
