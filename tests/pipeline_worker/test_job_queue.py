from collections.abc import AsyncIterator

import pytest

from pipeline_worker.job_queue import JobQueue
from shared import keys
from shared.events import CallerConnected, StartPipeline
from shared.io.broker import BROKER_FAILURES, Redis, connect_blocking
from shared.wire import encode_message

KEY = keys.jobs("default")


def request(session: str) -> StartPipeline:
    return StartPipeline(session=session, agent_id="a", media_worker="media-1")


async def add_job(broker: Redis, session: str) -> None:
    await broker.rpush(KEY, encode_message(request(session)))


@pytest.fixture
async def queue(broker: Redis, broker_url: str) -> AsyncIterator[JobQueue]:
    blocking = connect_blocking(broker_url)
    yield JobQueue(blocking, "default")
    await blocking.aclose()


async def test_a_session_is_claimed_once(queue: JobQueue, broker: Redis) -> None:
    await add_job(broker, "s1")
    assert await queue.claim(5) == [request("s1")]
    assert await broker.exists(KEY) == 0


async def test_no_more_are_claimed_than_there_is_room_for(queue: JobQueue, broker: Redis) -> None:
    for number in range(3):
        await add_job(broker, f"s{number}")
    assert [job.session for job in await queue.claim(2)] == ["s0", "s1"]
    assert await broker.llen(KEY) == 1


async def test_where_nobody_waits_nothing_is_claimed(queue: JobQueue) -> None:
    assert await queue.claim(1) == []


async def test_an_invalid_job_does_not_keep_the_others_from_being_served(queue: JobQueue, broker: Redis) -> None:
    await broker.rpush(KEY, b"\x01garbage", encode_message(CallerConnected(session="s1")))
    await add_job(broker, "good")
    assert [job.session for job in await queue.claim(10)] == ["good"]


async def test_an_unusable_list_is_a_failure_of_the_broker(queue: JobQueue, broker: Redis) -> None:
    await broker.set(KEY, "not a list")
    with pytest.raises(BROKER_FAILURES):
        await queue.claim(1)


async def test_jobs_that_are_given_back_come_first_and_in_order(queue: JobQueue, broker: Redis) -> None:
    for session in ("s1", "s2", "s3"):
        await add_job(broker, session)
    await queue.give_back(await queue.claim(2))
    assert [job.session for job in await queue.claim(5)] == ["s1", "s2", "s3"]
    await queue.give_back([])
    await queue.give_back([request("s1")])
    assert 0 < await broker.ttl(KEY) <= 60
