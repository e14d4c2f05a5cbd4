"""Takes sessions as a pipeline worker does, for stand-ins. Its pool is named after it, so that it gets its own only."""

import asyncio
from collections.abc import Callable

from pipeline_worker.job_queue import JobQueue
from shared import keys
from shared.events import PipelineAttached, StartPipeline
from shared.io.broker import connect_blocking
from shared.io.outbox import Outbox
from shared.liveness import TOUCH_INTERVAL_S

_AT_ONCE = 100


class JobTaker:
    def __init__(self, url: str, worker_id: str, outbox: Outbox, on_session: Callable[[str, str], None]) -> None:
        """`on_session` gets a session and the inbox of its media worker."""
        self._queue = JobQueue(connect_blocking(url), worker_id)
        self._worker_id = worker_id
        self._outbox = outbox
        self._on_session = on_session
        self._media: set[str] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take())
            tasks.create_task(self._touch())

    async def _take(self) -> None:
        while True:
            for job in await self._queue.claim(_AT_ONCE):
                self._attach(job)

    def _attach(self, job: StartPipeline) -> None:
        media = keys.inbox("media", job.media_worker)
        self._media.add(media)
        self._on_session(job.session, media)
        self._outbox.send(
            media, PipelineAttached(session=job.session, epoch=job.epoch, pipeline_worker=self._worker_id)
        )

    async def _touch(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_INTERVAL_S)
            for media in self._media:
                self._outbox.touch(media)
