"""The list of jobs, on a real broker."""

import asyncio
from typing import Any, cast

from structlog.testing import capture_logs

from media_worker.pipeline_jobs import PipelineJobs
from shared import keys
from shared.events import StartPipeline
from shared.io.broker import Redis
from shared.wire import decode_message
from tests.fakes.patience import eventually

POOL = "p"


def a_job(session: str = "s1", epoch: int = 1) -> StartPipeline:
    return StartPipeline(session=session, agent_id="a", media_worker="m1", epoch=epoch, pool=POOL)


async def waiting(broker: Redis) -> list[StartPipeline]:
    return [cast(StartPipeline, decode_message(job)) for job in await cast(Any, broker.lrange(keys.jobs(POOL), 0, -1))]


async def test_a_later_request_replaces_the_earlier_one(broker: Redis) -> None:
    jobs = PipelineJobs(broker)
    jobs.ask(a_job(epoch=1), lambda *_: None)
    await jobs.write()
    jobs.ask(a_job(epoch=2), lambda *_: None)
    await jobs.write()
    assert await waiting(broker) == [a_job(epoch=2)]
    assert await cast(Any, broker.zrange(keys.reservations("pipeline", POOL), 0, -1)) == [b"s1"]
    assert 0 < await broker.ttl(keys.jobs(POOL)) <= 60


async def test_a_session_with_a_worker_leaves_its_slot_reserved_until_the_worker_reports_it(broker: Redis) -> None:
    jobs = PipelineJobs(broker)
    jobs.ask(a_job("s1"), lambda *_: None)
    jobs.ask(a_job("s2"), lambda *_: None)
    await jobs.write()
    jobs.withdraw("s1")
    jobs.withdraw("s2", ended=True)
    await jobs.write()
    assert await waiting(broker) == []
    assert await cast(Any, broker.zrange(keys.reservations("pipeline", POOL), 0, -1)) == [b"s1"]


async def test_a_write_whose_reply_was_lost_does_not_add_the_job_twice(broker: Redis) -> None:
    jobs = PipelineJobs(broker)
    jobs.ask(a_job(), lambda *_: None)
    unwritten = dict(jobs._unwritten)
    await jobs.write()
    jobs._unwritten = unwritten
    await jobs.write()
    assert await waiting(broker) == [a_job()]


async def test_the_session_is_told_whether_its_job_waits(broker: Redis) -> None:
    jobs = PipelineJobs(broker)
    looks: list[bool] = []
    running = asyncio.create_task(jobs.run())
    jobs.ask(a_job(), lambda waits, now: looks.append(waits))
    await eventually(lambda: len(looks) == 2)
    assert all(looks)
    await broker.delete(keys.jobs(POOL))
    await eventually(lambda: not looks[-1])
    jobs.withdraw("s1", ended=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_failure_of_one_session_does_not_keep_the_others_from_being_told(broker: Redis) -> None:
    """It ended the media worker, and all its sessions."""
    jobs = PipelineJobs(broker)
    looks: list[bool] = []

    def fail(waits: bool, now: float) -> None:
        raise RuntimeError("broken")

    with capture_logs() as logs:
        running = asyncio.create_task(jobs.run())
        jobs.ask(a_job("s1"), fail)
        jobs.ask(a_job("s2"), lambda waits, now: looks.append(waits))
        await eventually(lambda: len(looks) == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [line["event"] for line in logs] == ["job_not_looked_for"] * 2
