"""Who is there to take sessions, as of half a second ago at most."""

import asyncio
from collections.abc import Sequence

from prometheus_client import Gauge

from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger
from shared.io.presence import live_workers
from shared.keys import WorkerKind
from shared.worker_report import WorkerReport

POLL_INTERVAL_S = 0.5
_STALE_AFTER_S = 3.0

_free_slots = Gauge("antiphon_gateway_free_slots", "Sessions that the workers could still take", ["kind"])

log = get_logger()


class WorkerRegistry:
    """The last reports of the media and pipeline workers. `run` keeps them fresh."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._refreshed_at_s: float | None = None
        self.media_workers: Sequence[WorkerReport] = ()
        self.pipeline_workers: Sequence[WorkerReport] = ()

    @property
    def fresh(self) -> bool:
        """Whether the broker told us of the workers lately."""
        now_s = asyncio.get_running_loop().time()
        return self._refreshed_at_s is not None and now_s - self._refreshed_at_s <= _STALE_AFTER_S

    async def refresh(self) -> None:
        """Ask once. Raises what a broken broker raises."""
        self.media_workers = await self._ask("media")
        self.pipeline_workers = await self._ask("pipeline")
        self._refreshed_at_s = asyncio.get_running_loop().time()

    async def run(self) -> None:
        away = False
        while True:
            try:
                await self.refresh()
            except BROKER_FAILURES as error:
                if not away:
                    log.warning("registry_not_refreshed", error=str(error))
                away = True
            else:
                if away:
                    log.info("registry_back")
                away = False
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _ask(self, kind: WorkerKind) -> Sequence[WorkerReport]:
        reports = await live_workers(self._redis, kind)
        free = sum(max(0, report.capacity - report.sessions) for report in reports if report.state == "serving")
        _free_slots.labels(kind).set(free)
        return reports
