import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from pipeline_worker.job_queue import JobQueue
from shared import keys
from shared.events import CallerConnected, StartPipeline
from shared.io.broker import BROKER_FAILURES, Redis, connect_blocking
from shared.wire import encode_message

KEY = keys.jobs("default")


async def add_job(broker: Redis, session: str, entry_id: str = "*") -> str:
    request = StartPipeline(session=session, agent_id="a", media_worker="media-1")
    added = await broker.xadd(KEY, {"b": encode_message(request)}, id=entry_id)
    return cast(bytes, added).decode()


async def pending(broker: Redis) -> dict[str, str]:
    """Entry -> the worker that has it."""
    found = cast(list[dict[str, bytes]], await broker.xpending_range(KEY, keys.JOBS_GROUP, "-", "+", 100))
    return {entry["message_id"].decode(): entry["consumer"].decode() for entry in found}


@pytest.fixture
async def queue(broker: Redis, broker_url: str) -> AsyncIterator[JobQueue]:
    """Has joined the group."""
    blocking = connect_blocking(broker_url)
    queue = JobQueue(blocking, broker, "default", "pipeline-1")
    assert await queue.claim(1, ()) == []
    yield queue
    await blocking.aclose()


async def test_a_session_is_claimed_and_stays_pending_until_it_is_removed(queue: JobQueue, broker: Redis) -> None:
    entry_id = await add_job(broker, "s1")
    (job,) = await queue.claim(5, ())
    assert job.entry_id == entry_id
    assert job.request == StartPipeline(session="s1", agent_id="a", media_worker="media-1")
    assert await pending(broker) == {entry_id: "pipeline-1"}
    await queue.remove(entry_id)
    assert await pending(broker) == {}
    assert await broker.xlen(KEY) == 0


async def test_no_more_are_claimed_than_there_is_room_for(queue: JobQueue, broker: Redis) -> None:
    for number in range(3):
        await add_job(broker, f"s{number}")
    assert [job.request.session for job in await queue.claim(2, ())] == ["s0", "s1"]
    assert len(await pending(broker)) == 2


async def test_a_session_asked_for_before_there_was_a_worker_is_found(broker: Redis, broker_url: str) -> None:
    await add_job(broker, "early", entry_id="1234-0")
    blocking = connect_blocking(broker_url)
    queue = JobQueue(blocking, broker, "default", "pipeline-1")
    await queue.claim(1, ())
    (job,) = await queue.claim(1, ())
    assert job.request.session == "early"
    assert job.added_at_ms == 1234
    await blocking.aclose()


async def test_an_invalid_request_is_removed(queue: JobQueue, broker: Redis) -> None:
    await broker.xadd(KEY, {"b": b"\x01garbage"})
    await broker.xadd(KEY, {"other": b"field"})
    await broker.xadd(KEY, {"b": encode_message(CallerConnected(session="s1"))})
    await add_job(broker, "good")
    assert [job.request.session for job in await queue.claim(10, ())] == ["good"]
    assert await broker.xlen(KEY) == 1


async def test_served_entries_are_kept_young(queue: JobQueue, broker: Redis) -> None:
    entry_id = await add_job(broker, "s1")
    await queue.claim(1, ())
    hour_ms = 3_600_000
    await broker.xclaim(KEY, keys.JOBS_GROUP, "pipeline-1", 0, [entry_id], idle=hour_ms)
    await queue.keep({entry_id})
    (entry,) = cast(list[dict[str, int]], await broker.xpending_range(KEY, keys.JOBS_GROUP, "-", "+", 10))
    assert entry["time_since_delivered"] < hour_ms
    await queue.keep(())


async def test_an_entry_whose_delivery_was_lost_is_found_after_the_failure(queue: JobQueue, broker: Redis) -> None:
    served = await add_job(broker, "served")
    await queue.claim(1, ())
    await add_job(broker, "lost")
    await broker.xreadgroup(keys.JOBS_GROUP, "pipeline-1", {KEY: ">"}, 1)  # delivered, but we never saw it
    claiming = asyncio.create_task(queue.claim(1, ()))
    await asyncio.sleep(0)
    claiming.cancel()
    await asyncio.wait([claiming])
    assert [job.request.session for job in await queue.claim(1, {served})] == ["lost"]


async def test_a_broker_that_forgot_everything_is_joined_again(queue: JobQueue, broker: Redis) -> None:
    await broker.flushall()
    with pytest.raises(BROKER_FAILURES):
        await queue.claim(1, ())
    assert await queue.claim(1, ()) == []
    await add_job(broker, "s1")
    assert len(await queue.claim(1, ())) == 1


async def test_unserved_requests_go_back_to_the_queue(queue: JobQueue, broker: Redis, broker_url: str) -> None:
    served = await add_job(broker, "served")
    await add_job(broker, "unserved")
    await queue.claim(2, ())
    await queue.give_back({served})
    assert await pending(broker) == {served: "pipeline-1"}
    blocking = connect_blocking(broker_url)
    other = JobQueue(blocking, broker, "default", "pipeline-2")
    await other.claim(1, ())
    assert [job.request.session for job in await other.claim(5, ())] == ["unserved"]
    await blocking.aclose()


async def test_a_worker_that_leaves_is_no_longer_a_member(queue: JobQueue, broker: Redis) -> None:
    await add_job(broker, "s1")
    (job,) = await queue.claim(1, ())
    await queue.remove(job.entry_id)
    await queue.leave()
    assert await broker.xinfo_consumers(KEY, keys.JOBS_GROUP) == []


async def test_a_worker_that_is_stopped_before_it_has_claimed_leaves_without_a_warning(
    broker: Redis, broker_url: str
) -> None:
    blocking = connect_blocking(broker_url)
    queue = JobQueue(blocking, broker, "default", "pipeline-1")
    await queue.give_back(())
    await queue.leave()
    await blocking.aclose()
