"""The jobs by which this process asks for pipeline workers: adds them to the pools' lists, and looks whether they wait.

One task serves all sessions. While the broker is away nothing is known about a job, so nobody is told that it is gone.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from media_worker.leases import hold
from shared import keys
from shared.events import StartPipeline
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger
from shared.wire import encode_message
from shared.worker_report import RESERVATION_MS

LOOK_INTERVAL_S = 0.5
_EXPIRY_S = 60
_RETRY_S = 0.1

log = get_logger()


class _Job(NamedTuple):
    session: str
    pool: str
    payload: bytes
    on_look: Callable[[bool, float], None]


class PipelineJobs:
    """At most one job per session. `run` is the only writer."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
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
                async with asyncio.timeout(LOOK_INTERVAL_S if self._jobs else None):
                    await self._changed.wait()
            try:
                await self.write()
                now = clock()
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
            pipeline.lrem(keys.jobs(job.pool), 0, job.payload)  # type: ignore[arg-type]  # redis-py wants a string
            if ended:
                pipeline.zrem(keys.reservations("pipeline", job.pool), job.session)
        for job in added:
            jobs, reservations = keys.jobs(job.pool), keys.reservations("pipeline", job.pool)
            # Removed first: an earlier write may have been applied although its reply was lost.
            pipeline.lrem(jobs, 0, job.payload)  # type: ignore[arg-type]  # redis-py wants a string
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

    async def _look(self, now: float) -> None:
        jobs = list(self._jobs.values())
        pipeline = self._redis.pipeline(transaction=False)
        for job in jobs:
            pipeline.lpos(keys.jobs(job.pool), job.payload)  # type: ignore[arg-type]  # redis-py wants a string
        for job, place in zip(jobs, await pipeline.execute(), strict=True):
            if self._jobs.get(job.session) is job and job.session not in self._unwritten:
                try:
                    job.on_look(place is not None, now)
                except Exception:  # one session's failure must not end the others
                    log.exception("job_not_looked_for", session_id=job.session)
