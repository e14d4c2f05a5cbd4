"""The workers that can take sessions, as they reported at most half a second ago."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from prometheus_client import Gauge

from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.heartbeat import live_workers
from shared.io.logs import get_logger
from shared.keys import WIRE_VERSION, WorkerKind
from shared.worker_report import WorkerReport

POLL_INTERVAL_S = 0.5
_FRESH_S = 0.1
_STALE_AFTER_S = 2.0
_SETTLED_AFTER_S = 6.0

_free_slots = Gauge("antiphon_gateway_free_slots", "Sessions that the workers could still take", ["kind"])

log = get_logger()


class WorkerRegistry:
    """The last reports of the media and pipeline workers. `run` keeps them fresh.

    Workers of another wire version are not listed: they could not read a message of ours.
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self.refreshed_at_s: float | None = None
        self._refreshing = asyncio.Lock()
        self._back_at_s = math.inf
        """Since when the broker is there, as far as this process knows."""
        self.media_workers: Sequence[WorkerReport] = ()
        self.pipeline_workers: Sequence[WorkerReport] = ()
        self._foreign: defaultdict[WorkerKind, AbstractSet[str]] = defaultdict(set)
        """Workers of another version."""

    @property
    def fresh(self) -> bool:
        """Whether the broker answered within the last two seconds."""
        return self._age_s() <= _STALE_AFTER_S

    @property
    def settled(self) -> bool:
        """Whether the broker has been there for six seconds, so that all who write to it have been able to."""
        return asyncio.get_running_loop().time() - self._back_at_s >= _SETTLED_AFTER_S

    def _age_s(self) -> float:
        if self.refreshed_at_s is None:
            return math.inf
        return asyncio.get_running_loop().time() - self.refreshed_at_s

    async def refresh(self) -> None:
        """Ask once. Raises one of `BROKER_FAILURES` if the broker is away."""
        self.media_workers, self.pipeline_workers = await asyncio.gather(self._ask("media"), self._ask("pipeline"))
        self.refreshed_at_s = asyncio.get_running_loop().time()
        self._back_at_s = min(self._back_at_s, self.refreshed_at_s)

    async def refresh_since(self, asked_at_s: float | None) -> bool:
        """Whether the reports are newer than `asked_at_s`; asks again if they are not, once they are 0.1 s old.

        However many sessions are refused at once, only one of them asks.
        """
        async with self._refreshing:
            if self.refreshed_at_s != asked_at_s:
                return True
            if (early_s := _FRESH_S - self._age_s()) > 0:
                await asyncio.sleep(early_s)
            try:
                await self.refresh()
            except BROKER_FAILURES:
                return False
            return True

    async def run(self) -> None:
        away = False
        while True:
            try:
                await self.refresh()
            except BROKER_FAILURES as error:
                if not away:
                    log.warning("registry_not_refreshed", error=str(error))
                away, self._back_at_s = True, math.inf
            else:
                if away:
                    log.info("registry_back")
                away = False
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _ask(self, kind: WorkerKind) -> Sequence[WorkerReport]:
        live = await live_workers(self._redis, kind)
        reports = [report for report in live if report.wire == WIRE_VERSION]
        foreign = {report.worker_id: report.wire for report in live if report.wire != WIRE_VERSION}
        for worker_id in foreign.keys() - self._foreign[kind]:
            log.warning("worker_of_another_wire_version", worker=worker_id, wire=foreign[worker_id], ours=WIRE_VERSION)
        self._foreign[kind] = foreign.keys()
        free = sum(max(0, report.capacity - report.sessions) for report in reports if report.state == "serving")
        _free_slots.labels(kind).set(free)
        return reports
