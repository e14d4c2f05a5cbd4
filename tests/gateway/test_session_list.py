import json
from typing import Any, cast

import pytest

from gateway.session_list import SessionList
from shared import keys
from shared.errors import BrokerError
from shared.io.broker import Redis, connect
from tests.fakes.media_worker import announce_worker


async def begin(broker: Redis, session: str, created_ms: int, media_worker: str = "m1") -> None:
    """As its media worker writes it."""
    record = {"agent": "echo", "media_worker": media_worker, "created_ms": created_ms}
    await broker.hset(keys.session(session), mapping=cast(Any, record))
    await broker.zadd(keys.sessions(media_worker), {keys.listed_session(session, created_ms): 0})


async def walk(sessions: SessionList, limit: int) -> list[list[str]]:
    """The ids on all pages."""
    pages, after = [], ""
    while True:
        page = await sessions.page(limit, after)
        pages.append([record.session for record in page.records])
        if not page.after:
            return pages
        after = page.after


async def test_pages_of_all_media_workers_newest_first(broker: Redis, broker_url: str) -> None:
    for media_worker in ("m1", "m2"):
        await announce_worker(broker_url, "media", media_worker, 9)
    for number in range(5):
        await begin(broker, f"s{number}", 1_000 + number // 2, f"m{number % 2 + 1}")
    sessions = SessionList(broker)
    assert await walk(sessions, 2) == [["s4", "s3"], ["s2", "s1"], ["s0"]]
    assert await walk(sessions, 5) == [["s4", "s3", "s2", "s1", "s0"]]
    assert (await sessions.page(1)).total == 5
    of_one = await sessions.page(10, media_worker="m2")
    assert ([record.session for record in of_one.records], of_one.total) == (["s3", "s1"], 2)


async def test_a_session_that_moves_is_listed_once_and_one_that_has_just_ended_not_at_all(
    broker: Redis, broker_url: str
) -> None:
    for media_worker in ("m1", "m2"):
        await announce_worker(broker_url, "media", media_worker, 9)
    await begin(broker, "moves", 1_000, "m1")
    await begin(broker, "moves", 1_000, "m2")
    await begin(broker, "ended", 2_000)
    await begin(broker, "mad", 3_000)
    await broker.delete(keys.session("ended"))
    await broker.hset(keys.session("mad"), "epoch", "x")
    page = await SessionList(broker).page(10)
    assert [(record.session, record.media_worker) for record in page.records] == [("moves", "m2")]


async def test_no_worker_no_session(broker: Redis) -> None:
    assert await SessionList(broker).page(10) == ([], 0, "")


async def test_the_transcript_grows_with_the_conversation(broker: Redis) -> None:
    sessions, said = SessionList(broker), []
    assert await sessions.transcript("s1") == []
    for text in ("Hello.", "How are you?"):
        said.append({"role": "agent", "text": text, "interrupted": False})
        await broker.rpush(keys.conversation("s1"), json.dumps(said[-1]))
        assert await sessions.transcript("s1") == said


async def test_without_the_broker_it_says_so() -> None:
    client = connect("redis://127.0.0.1:1/0")
    sessions = SessionList(client)
    for asking in (sessions.page(1), sessions.transcript("s1")):
        with pytest.raises(BrokerError):
            await asking
    await client.aclose()
