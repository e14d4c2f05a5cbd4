"""The jobs by which this process asks for pipeline workers: adds them to the pools' lists, and looks whether they wait.

In a zone, a job is first added to the zone's own list, which only workers of the zone read. If none of them takes it
within `OWN_ZONE_S`, it moves to the list for all, and so do later jobs, until the zone is tried again.

One task serves all sessions. While the broker is away nothing is known about a job, so nobody is told that it is gone.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

from media_worker.leases import hold
from shared import keys
from shared.events import StartPipeline
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger
from shared.wire import encode_message
from shared.worker_report import RESERVATION_MS

LOOK_INTERVAL_S = 0.5
OWN_ZONE_S = 0.25
_ZONE_AGAIN_S = 10.0
_EXPIRY_S = 60
_RETRY_S = 0.1

# KEYS: the zone's list, the list for all. ARGV: job, expiry in seconds. Returns whether the job was still there.
_MOVE = """
if redis.call('LREM', KEYS[1], 0, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
"""

log = get_logger()


class _Job(NamedTuple):
    session: str
    pool: str
    payload: bytes
    on_look: Callable[[bool, float], None]


class PipelineJobs:
    """At most one job per session. `run` is the only writer."""

    def __init__(self, client: Redis, zone: str = "") -> None:
        self._redis = client
        self._zone = zone
        self._zoned: dict[str, float] = {}
        """Sessions whose job is in the zone's list, and when it has to leave."""
        self._zone_again_s: dict[str, float] = {}
        """By pool: when its workers of our zone are tried again, after none of them took a job in time."""
        self._jobs: dict[str, _Job] = {}
        self._unwritten: dict[str, _Job] = {}
        self._withdrawn: list[tuple[_Job, bool]] = []
        self._changed = asyncio.Event()
        self._looked_s = 0.0

    def ask(self, job: StartPipeline, on_look: Callable[[bool, float], None]) -> None:
        """Add the job, instead of the session's earlier one. `on_look` is told every half second whether it
        waits, and the time."""
        self.withdraw(job.session)
        added = _Job(job.session, job.pool, encode_message(job), on_look)
        self._jobs[job.session] = self._unwritten[job.session] = added
        self._changed.set()

    def withdraw(self, session: str, ended: bool = False) -> None:
        """The session has its worker, or has `ended`: then the slot that was held for it is free again."""
        job = self._jobs.pop(session, None)
        self._zoned.pop(session, None)
        if job is not None:
            self._unwritten.pop(session, None)
            self._withdrawn.append((job, ended))
            self._changed.set()

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
                await self._leave_zone(now)
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
        for job, ended in withdrawn:
            self._remove(pipeline, job)
            if ended:
                pipeline.zrem(keys.reservations("pipeline", job.pool), job.session)
        now = asyncio.get_running_loop().time()
        for job in added:
            zone = self._zone if now >= self._zone_again_s.get(job.pool, 0.0) else ""
            jobs, reservations = keys.jobs(job.pool, zone), keys.reservations("pipeline", job.pool)
            # Removed first: an earlier write may have been applied although its reply was lost.
            self._remove(pipeline, job)
            self._zoned.pop(job.session, None)
            if zone:
                self._zoned[job.session] = now + OWN_ZONE_S
            pipeline.rpush(jobs, job.payload)
            pipeline.expire(jobs, _EXPIRY_S)
            hold(pipeline, reservations, [job.session], RESERVATION_MS)
        try:
            await pipeline.execute()
        except BaseException:  # also when cancelled: it is written next time
            self._withdrawn[:0] = withdrawn
            self._changed.set()
            raise
        for job in added:
            if self._unwritten.get(job.session) is job:
                del self._unwritten[job.session]

    def _rest_s(self, now: float) -> float | None:
        """Until the next look or move; None if nothing waits."""
        if not self._jobs:
            return None
        return max(0.0, min((LOOK_INTERVAL_S, *(until_s - now for until_s in self._zoned.values()))))

    def _remove(self, pipeline: Any, job: _Job) -> None:
        for jobs in dict.fromkeys((keys.jobs(job.pool), keys.jobs(job.pool, self._zone))):
            pipeline.lrem(jobs, 0, job.payload)

    async def _leave_zone(self, now: float) -> None:
        """Jobs that have waited for their zone long enough are for all."""
        due = [self._jobs[session] for session, until_s in self._zoned.items() if now >= until_s]
        if not due:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for job in due:
            lists = keys.jobs(job.pool, self._zone), keys.jobs(job.pool)
            pipeline.eval(_MOVE, 2, *lists, job.payload, str(_EXPIRY_S))
        for job, moved in zip(due, await pipeline.execute(), strict=True):
            if self._jobs.get(job.session) is job:
                self._zoned.pop(job.session, None)
            if moved:
                self._zone_again_s[job.pool] = now + _ZONE_AGAIN_S
                log.info("zone_without_pipeline_worker", session_id=job.session, pool=job.pool, zone=self._zone)

    async def _look(self, now: float) -> None:
        jobs = list(self._jobs.values())
        pipeline = self._redis.pipeline(transaction=False)
        for job in jobs:
            listed = keys.jobs(job.pool, self._zone if job.session in self._zoned else "")
            pipeline.lpos(listed, job.payload)  # type: ignore[arg-type]  # redis-py wants a string
        for job, place in zip(jobs, await pipeline.execute(), strict=True):
            if self._jobs.get(job.session) is job and job.session not in self._unwritten:
                try:
                    job.on_look(place is not None, now)
                except Exception:  # one session's failure must not end the others
                    log.exception("job_not_looked_for", session_id=job.session)
