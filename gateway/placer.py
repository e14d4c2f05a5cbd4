"""Finds a place for a session: `rank` orders the media workers, the reservation takes the first that has room."""

import asyncio

from prometheus_client import Counter

from gateway.core.placement import RecentPlacements, rank
from gateway.core.signaling_events import Place, Placed
from gateway.media_link import MediaLink
from gateway.placement_store import PlacementStore
from gateway.worker_registry import WorkerRegistry
from shared.errors import BrokerError, RefusedError
from shared.ids import new_session_id
from shared.io.heartbeat import wall_ms
from shared.io.logs import get_logger

_AT_ONCE = 8
"""Reservations at once. With more, a burst of offers would wait for the broker's connections, and in vain."""

_placements = Counter("antiphon_gateway_placements_total", "Placements tried, by outcome", ["outcome"])

log = get_logger()


class Placer:
    def __init__(
        self, registry: WorkerRegistry, store: PlacementStore, link: MediaLink, zone: str, retry_after_ms: int
    ) -> None:
        self._registry = registry
        self._store = store
        self._link = link
        self._zone = zone
        self._retry_after_ms = retry_after_ms
        self._recent = RecentPlacements()
        self._reserving = asyncio.Semaphore(_AT_ONCE)

    async def place(self, place: Place) -> Placed:
        """Reserve a slot. Raises `RefusedError` or `BrokerError`, both with a retry time."""
        session = place.session or new_session_id()
        if place.silent:
            self._link.doubt(place.silent)
        try:
            async with self._reserving:
                placed = await self._place_or_refresh(place, session)
        except (RefusedError, BrokerError) as error:
            _placements.labels(error.code).inc()
            log.warning(
                "session_refused", session_id=session, agent=place.agent_id, code=error.code, reason=error.message
            )
            if isinstance(error, BrokerError):
                public = "the service cannot reach its broker"
                raise BrokerError(public, retry_after_ms=self._retry_after_ms) from error
            public = "there is no room for another session now"
            raise RefusedError(public, retry_after_ms=self._retry_after_ms) from error
        _placements.labels("placed").inc()
        return placed

    def is_alive(self, media_worker: str) -> bool:
        """Whether it has a lease, and is not silent although it should be heard."""
        known = any(report.worker_id == media_worker for report in self._registry.media_workers)
        return known and media_worker not in self._link.lost

    async def release(self, session: str, media_worker: str) -> None:
        """Give the slot back. If the broker is away, the reservation expires by itself."""
        try:
            await self._store.release(session, media_worker)
        except BrokerError as error:
            log.warning("reservation_left", session_id=session, error=error.message)

    async def _place_or_refresh(self, place: Place, session: str) -> Placed:
        """Refuse only on fresh reports: a worker may have started since the registry last asked.

        An offer that was refused or not answered is placed again on fresh reports: the last ones misled us.
        """
        asked_at_s = self._registry.refreshed_at_s
        if place.avoid and await self._registry.refresh_since(asked_at_s):
            asked_at_s = self._registry.refreshed_at_s
        try:
            return await self._place(place, session)
        except RefusedError:
            if not await self._registry.refresh_since(asked_at_s):
                raise
            return await self._place(place, session)

    async def _place(self, place: Place, session: str) -> Placed:
        if not self._registry.fresh:
            raise BrokerError("the worker registry is stale")
        ranked = rank(self._registry.media_workers, self._recent, session, self._zone, place.avoid, self._link.lost)
        # Pipeline workers in any state: the reservation reads their state of this moment.
        pool = "" if place.session else place.pool
        pipeline_workers = [report.worker_id for report in self._registry.pipeline_workers if report.serves(pool)]
        media_workers = [candidate.worker_id for candidate in ranked]
        chosen = ranked[await self._store.reserve(session, media_workers, pool, pipeline_workers)]
        now_ms = wall_ms()
        self._recent.add(chosen.worker_id, now_ms)
        log.info("session_placed", session_id=session, media_worker=chosen.worker_id, reason=chosen.reason)
        return Placed(session, chosen.worker_id, created_ms=now_ms)
