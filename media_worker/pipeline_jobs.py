"""The jobs by which this process asks for pipeline workers: adds them to the pools' lists, and looks whether they wait.

A job may be in several lists, one after another: that of a certain worker (`core.pipeline_affinity`), that of our zone,
and that for all. If nobody takes it in time, it moves to the next, and what comes after it soon does not wait there.

One task serves all sessions. While the broker is away nothing is known about a job, so nobody is told that it is gone.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from media_worker.core.pipeline_affinity import PipelineAffinity
from media_worker.leases import hold
from shared import keys
from shared.events import StartPipeline
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger
from shared.wire import encode_message
from shared.worker_report import RESERVATION_MS

LOOK_INTERVAL_S = 0.5
OWN_ZONE_S = 0.25
CERTAIN_WORKER_S = 0.05
"""A worker that has room takes a job within milliseconds."""
_ZONE_AGAIN_S = 10.0
_EXPIRY_S = 60
_RETRY_S = 0.1

# KEYS: the list, the next one. ARGV: job, expiry in seconds. Returns whether the job was still there.
_MOVE = """
if redis.call('LREM', KEYS[1], 0, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
"""

log = get_logger()


class _Stop(NamedTuple):
    """A list, and how long a job waits there. `worker`: whose it is."""

    list: str
    wait_s: float
    worker: str = ""


class _Job(NamedTuple):
    session: str
    pool: str
    payload: bytes
    on_look: Callable[[bool, float], None]


class _Place(NamedTuple):
    """Where a job is: in the first list of what is left of its route, until then. `lists`: all of its route."""

    left: list[_Stop]
    until_s: float
    lists: list[str]


class PipelineJobs:
    """At most one job per session. `run` is the only writer."""

    def __init__(self, client: Redis, zone: str = "") -> None:
        self._redis = client
        self._zone = zone
        self._zone_again_s: dict[str, float] = {}
        """By pool: when its workers of our zone are tried again, after none of them took a job in time."""
        self._affinity = PipelineAffinity()
        self._jobs: dict[str, _Job] = {}
        self._places: dict[str, _Place] = {}
        self._unwritten: dict[str, _Job] = {}
        self._withdrawn: list[tuple[_Job, list[str], bool]] = []
        """With the lists in which they may be, and whether the session has ended."""
        self._changed = asyncio.Event()
        self._looked_s = 0.0

    def ask(self, job: StartPipeline, on_look: Callable[[bool, float], None]) -> None:
        """Add the job, instead of the session's earlier one. `on_look` is told every half second whether it
        waits, and the time."""
        self._withdraw(job.session)
        added = _Job(job.session, job.pool, encode_message(job), on_look)
        self._jobs[job.session] = self._unwritten[job.session] = added
        self._changed.set()

    def taken(self, session: str, pool: str, worker: str) -> None:
        """The session has its worker. The job is withdrawn, if there is one."""
        place = self._places.get(session)
        if self._zone and place is not None and place.until_s == math.inf:
            self._affinity.ended(session)  # a worker of another zone is no usual one
        else:
            self._affinity.taken(session, pool, worker)
        self._withdraw(session)

    def ended(self, session: str) -> None:
        """The session needs no worker any more. The slot that was held for it is free again."""
        self._affinity.ended(session)
        self._withdraw(session, ended=True)

    async def run(self) -> None:
        """Write and look, until cancelled."""
        clock = asyncio.get_running_loop().time
        away = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rest_s(clock())):
                    await self._changed.wait()
            try:
                await self.write()
                now = clock()
                await self._move_on(now)
                if self._jobs and now - self._looked_s >= LOOK_INTERVAL_S:
                    self._looked_s = now
                    await self._look(now)
                away = False
            except BROKER_FAILURES as error:
                if not away:
                    log.warning("pipeline_jobs_not_written", error=str(error))
                away = True
                await asyncio.sleep(_RETRY_S)

    async def write(self) -> None:
        """Raises one of `BROKER_FAILURES`; then everything is written again by the next call."""
        self._changed.clear()
        withdrawn, self._withdrawn = self._withdrawn, []
        added = list(self._unwritten.values())
        if not withdrawn and not added:
            return
        # No transaction, because the keys may be on several cluster nodes.
        pipeline = self._redis.pipeline(transaction=False)
        for job, lists, ended in withdrawn:
            _remove(pipeline, job, lists)
            if ended:
                pipeline.zrem(keys.reservations("pipeline", job.pool), job.session)
        now = asyncio.get_running_loop().time()
        for job in added:
            if (place := self._places.get(job.session)) is None:
                place = self._places[job.session] = self._begin(job, now)
            # Removed first: an earlier write may have been applied although its reply was lost.
            _remove(pipeline, job, place.lists)
            pipeline.rpush(place.left[0].list, job.payload)
            pipeline.expire(place.left[0].list, _EXPIRY_S)
            hold(pipeline, keys.reservations("pipeline", job.pool), [job.session], RESERVATION_MS)
        try:
            await pipeline.execute()
        except BaseException:  # also when cancelled: it is written next time
            self._withdrawn[:0] = withdrawn
            self._changed.set()
            raise
        for job in added:
            if self._unwritten.get(job.session) is job:
                del self._unwritten[job.session]

    def _withdraw(self, session: str, ended: bool = False) -> None:
        job, place = self._jobs.pop(session, None), self._places.pop(session, None)
        if job is not None:
            self._unwritten.pop(session, None)
            self._withdrawn.append((job, place.lists if place is not None else [], ended))
            self._changed.set()

    def _begin(self, job: _Job, now: float) -> _Place:
        route = [_Stop(keys.jobs(job.pool), math.inf)]
        if self._zone and now >= self._zone_again_s.get(job.pool, 0.0):
            route.insert(0, _Stop(keys.jobs(job.pool, self._zone), OWN_ZONE_S))
        if worker := self._affinity.choose(job.session, job.pool, now):
            route.insert(0, _Stop(keys.jobs(job.pool, worker=worker), CERTAIN_WORKER_S, worker))
        return _Place(route, now + route[0].wait_s, [stop.list for stop in route])

    def _rest_s(self, now: float) -> float | None:
        """Until the next look or move; None if nothing waits."""
        if not self._jobs:
            return None
        return max(0.0, min((LOOK_INTERVAL_S, *(place.until_s - now for place in self._places.values()))))

    async def _move_on(self, now: float) -> None:
        """Jobs that have waited in a list long enough go to the next."""
        due = [self._jobs[session] for session, place in self._places.items() if now >= place.until_s]
        if not due:
            return
        places = [self._places[job.session] for job in due]
        pipeline = self._redis.pipeline(transaction=False)
        for job, place in zip(due, places, strict=True):
            here, there = place.left[:2]
            pipeline.eval(_MOVE, 2, here.list, there.list, job.payload, str(_EXPIRY_S))
        for job, place, moved in zip(due, places, await pipeline.execute(), strict=True):
            if self._jobs.get(job.session) is job:
                self._places[job.session] = _Place(place.left[1:], now + place.left[1].wait_s, place.lists)
            if moved:
                self._on_nobody(job, place.left[0], now)

    def _on_nobody(self, job: _Job, stop: _Stop, now: float) -> None:
        """Nobody took the job there in time."""
        if stop.worker:
            self._affinity.refused(stop.worker, now)
            return
        self._zone_again_s[job.pool] = now + _ZONE_AGAIN_S
        log.info("zone_without_pipeline_worker", session_id=job.session, pool=job.pool, zone=self._zone)

    async def _look(self, now: float) -> None:
        jobs = [job for session, job in self._jobs.items() if session in self._places]
        pipeline = self._redis.pipeline(transaction=False)
        for job in jobs:
            listed = self._places[job.session].left[0].list
            pipeline.lpos(listed, job.payload)  # type: ignore[arg-type]  # redis-py wants a string
        for job, place in zip(jobs, await pipeline.execute(), strict=True):
            if self._jobs.get(job.session) is job and job.session not in self._unwritten:
                try:
                    job.on_look(place is not None, now)
                except Exception:  # one session's failure must not end the others
                    log.exception("job_not_looked_for", session_id=job.session)


def _remove(pipeline: Any, job: _Job, lists: list[str]) -> None:
    for each in lists:
        pipeline.lrem(each, 0, job.payload)
