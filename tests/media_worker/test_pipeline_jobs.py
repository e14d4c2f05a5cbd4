"""The list of jobs, on a real broker."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from redis.crc import key_slot
from structlog.testing import capture_logs

from media_worker import pipeline_jobs
from media_worker.pipeline_jobs import CERTAIN_WORKER_S, OWN_ZONE_S, PipelineJobs
from pipeline_worker.job_queue import JobQueue
from shared import keys
from shared.events import StartPipeline
from shared.ids import new_session_id
from shared.io.broker import Redis, connect_blocking
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
    jobs.taken("s1", POOL, "p1")
    jobs.ended("s2")
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
    jobs.ended("s1")
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


# -- zones ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def jobs_of_zone(broker: Redis, zone: str = "a") -> AsyncIterator[PipelineJobs]:
    jobs = PipelineJobs(broker, zone)
    running = asyncio.create_task(jobs.run())
    yield jobs
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def workers(broker_url: str, *zones: str) -> AsyncIterator[list[Redis]]:
    """A connection for a worker of each zone."""
    connections = [connect_blocking(broker_url) for _ in zones]
    yield connections
    for connection in connections:
        await connection.aclose()


async def claimed_by(blocking: Redis, zone: str) -> str | None:
    """The session that a worker of that zone gets."""
    taken = await JobQueue(blocking, POOL, zone).claim(1)
    return taken[0].session if taken else None


async def test_a_worker_of_the_zone_gets_the_job_though_others_wait_too(broker: Redis, broker_url: str) -> None:
    async with jobs_of_zone(broker) as jobs, workers(broker_url, "b", "a", "") as (other, own, nowhere):
        waiting_elsewhere = [asyncio.create_task(claimed_by(other, "b")), asyncio.create_task(claimed_by(nowhere, ""))]
        await asyncio.sleep(0.05)
        jobs.ask(a_job(), lambda *_: None)
        assert await claimed_by(own, "a") == "s1"
        jobs.taken("s1", POOL, "p1")
        assert await asyncio.gather(*waiting_elsewhere) == [None, None]


async def test_a_zone_without_a_worker_waits_a_quarter_of_a_second_once(
    broker: Redis, broker_url: str, record_property: Callable[[str, object], None]
) -> None:
    clock = asyncio.get_running_loop().time
    async with jobs_of_zone(broker) as jobs, workers(broker_url, "b") as (other,):
        delays_s = []
        for session in ("s1", "s2", "s3"):
            began_s = clock()
            jobs.ask(a_job(session), lambda *_: None)
            assert await claimed_by(other, "b") == session
            delays_s.append(clock() - began_s)
            jobs.taken(session, POOL, "p1")
        record_property("seconds until a worker of another zone had the job", delays_s)
        print("seconds until a worker of another zone had the job:", delays_s)
        assert OWN_ZONE_S <= delays_s[0] < OWN_ZONE_S + 0.5
        assert max(delays_s[1:]) < OWN_ZONE_S, "the zone is left out"


async def test_a_zone_is_tried_again(broker: Redis, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_jobs, "_ZONE_AGAIN_S", 0.0)
    async with jobs_of_zone(broker) as jobs, workers(broker_url, "b", "a") as (other, own):
        jobs.ask(a_job(), lambda *_: None)
        assert await claimed_by(other, "b") == "s1"
        jobs.ask(a_job("s2"), lambda *_: None)
        assert await claimed_by(own, "a") == "s2"


async def test_a_job_that_waits_in_its_zone_is_told_to_wait_and_one_that_was_taken_is_told_to_be_gone(
    broker: Redis, broker_url: str
) -> None:
    looks: list[bool] = []
    async with jobs_of_zone(broker) as jobs, workers(broker_url, "a") as (own,):
        jobs.ask(a_job(), lambda waits, _: looks.append(waits))
        await eventually(lambda: len(looks) == 2)
        assert looks == [True, True], "first in its zone, then for all"
        assert await claimed_by(own, "a") == "s1"
        await eventually(lambda: not looks[-1])


async def test_a_session_that_ended_leaves_no_job_in_its_zone(broker: Redis) -> None:
    jobs = PipelineJobs(broker, "a")
    jobs.ask(a_job(epoch=1), lambda *_: None)
    await jobs.write()
    jobs.ask(a_job(epoch=2), lambda *_: None)
    await jobs.write()
    assert await cast(Any, broker.llen(keys.jobs(POOL, "a"))) == 1
    jobs.ended("s1")
    await jobs.write()
    assert await broker.keys("antiphon:*") == []


def test_the_lists_of_a_pool_are_on_one_cluster_node() -> None:
    lists = keys.jobs(POOL), keys.jobs(POOL, "eu-1a"), keys.jobs(POOL, worker="p1")
    assert len({key_slot(each.encode()) for each in lists}) == 1


# -- few workers for a media worker -----------------------------------------------------------------------------------


async def claimed_for(blocking: Redis, worker: str, own: bool = True) -> str | None:
    """The session that this worker gets."""
    taken = await JobQueue(blocking, POOL, worker=worker).claim(1, own)
    return taken[0].session if taken else None


def with_usual_workers(jobs: PipelineJobs) -> None:
    """p1 has the fewest sessions of four."""
    for worker in ("p1", "p2", "p3", "p4", "p2", "p3", "p4"):
        jobs.taken(new_session_id(), POOL, worker)


async def test_a_media_worker_asks_a_pipeline_worker_that_has_sessions_of_it(broker: Redis, broker_url: str) -> None:
    async with jobs_of_zone(broker, "") as jobs, workers(broker_url, "", "") as (stranger, usual):
        with_usual_workers(jobs)
        waiting_elsewhere = asyncio.create_task(claimed_for(stranger, "p9"))
        await asyncio.sleep(0.05)  # the stranger waits first
        jobs.ask(a_job(), lambda *_: None)
        assert await claimed_for(usual, "p1") == "s1"
        jobs.taken("s1", POOL, "p1")
        assert await waiting_elsewhere is None


async def test_a_worker_that_is_gone_keeps_a_caller_waiting_for_a_twentieth_of_a_second_once(
    broker: Redis, broker_url: str
) -> None:
    clock = asyncio.get_running_loop().time
    async with jobs_of_zone(broker, "") as jobs, workers(broker_url, "") as (other,):
        with_usual_workers(jobs)
        delays_s = []
        for session in ("s1", "s2"):
            began_s = clock()
            jobs.ask(a_job(session), lambda *_: None)
            assert await claimed_for(other, "p5") == session
            delays_s.append(clock() - began_s)
            jobs.taken(session, POOL, "p5")
        assert delays_s[0] >= CERTAIN_WORKER_S > delays_s[1]


async def test_a_worker_of_another_zone_that_helped_out_does_not_become_a_usual_one(
    broker: Redis, broker_url: str
) -> None:
    async with jobs_of_zone(broker) as jobs, workers(broker_url, "") as (far,):
        with_usual_workers(jobs)
        jobs.ask(a_job(), lambda *_: None)
        assert await claimed_for(far, "far") == "s1", "neither the usual worker nor the zone took it"
        await eventually(lambda: jobs._places["s1"].until_s == math.inf)  # it knows that the job moved
        jobs.taken("s1", POOL, "far")
        later_s = asyncio.get_running_loop().time() + 60
        assert jobs._affinity.choose("s1", POOL, later_s) == "p1", "it does not count as one that p1 had"
        assert "far" not in {jobs._affinity.choose(f"s{number}", POOL, later_s) for number in range(2, 20)}


async def test_a_worker_that_is_nearly_full_leaves_its_own_jobs_to_all(broker: Redis, broker_url: str) -> None:
    clock = asyncio.get_running_loop().time
    async with jobs_of_zone(broker, "") as jobs, workers(broker_url, "") as (usual,):
        with_usual_workers(jobs)
        began_s = clock()
        jobs.ask(a_job(), lambda *_: None)
        assert await claimed_for(usual, "p1", own=False) == "s1", "it may be the only one with room"
        assert clock() - began_s >= CERTAIN_WORKER_S


async def test_a_session_that_ended_leaves_no_job_for_a_worker(broker: Redis) -> None:
    jobs = PipelineJobs(broker)
    with_usual_workers(jobs)
    jobs.ask(a_job(), lambda *_: None)
    await jobs.write()
    assert await cast(Any, broker.llen(keys.jobs(POOL, worker="p1"))) == 1
    jobs.ended("s1")
    await jobs.write()
    assert await broker.keys("antiphon:*") == []
