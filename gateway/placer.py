"""Finds a place for a session: `rank` orders the media workers, the reservation takes the first that has room."""

from collections.abc import Collection, Mapping

from prometheus_client import Counter

from gateway.core.placement import RecentPlacements, rank
from gateway.core.signaling_events import Placed
from gateway.placement_store import PlacementStore
from gateway.worker_registry import WorkerRegistry
from shared.agent import AgentDefinition
from shared.errors import BrokerError, RefusedError
from shared.ids import new_session_id
from shared.io.heartbeat import wall_ms
from shared.io.logs import get_logger

_placements = Counter("antiphon_gateway_placements_total", "Placements tried, by outcome", ["outcome"])

log = get_logger()


class Placer:
    def __init__(
        self,
        agents: Mapping[str, AgentDefinition],
        registry: WorkerRegistry,
        store: PlacementStore,
        zone: str,
        retry_after_ms: int,
    ) -> None:
        self._agents = agents
        self._registry = registry
        self._store = store
        self._zone = zone
        self._retry_after_ms = retry_after_ms
        self._recent = RecentPlacements()

    async def place(self, agent_id: str, avoid: Collection[str] = ()) -> Placed:
        """Reserve a slot for a new session. Raises `RefusedError` or `BrokerError`, both with a retry time."""
        session = new_session_id()
        try:
            placed = await self._place_or_refresh(session, self._agents[agent_id].pool, avoid)
        except (RefusedError, BrokerError) as error:
            _placements.labels(error.code).inc()
            log.warning("session_refused", session_id=session, agent=agent_id, code=error.code, reason=error.message)
            if isinstance(error, BrokerError):
                public = "the service cannot reach its broker"
                raise BrokerError(public, retry_after_ms=self._retry_after_ms) from error
            public = "there is no room for another session now"
            raise RefusedError(public, retry_after_ms=self._retry_after_ms) from error
        _placements.labels("placed").inc()
        return placed

    async def release(self, session: str, media_worker: str) -> None:
        """Give the slot back. If the broker is away, the reservation expires by itself."""
        try:
            await self._store.release(session, media_worker)
        except BrokerError as error:
            log.warning("reservation_left", session_id=session, error=error.message)

    async def _place_or_refresh(self, session: str, pool: str, avoid: Collection[str]) -> Placed:
        """Refuse only on fresh reports: a worker may have started since the registry last asked."""
        asked_at_s = self._registry.refreshed_at_s
        try:
            return await self._place(session, pool, avoid)
        except RefusedError:
            if not await self._registry.refresh_since(asked_at_s):
                raise
            return await self._place(session, pool, avoid)

    async def _place(self, session: str, pool: str, avoid: Collection[str]) -> Placed:
        if not self._registry.fresh:
            raise BrokerError("the worker registry is stale")
        ranked = rank(self._registry.media_workers, self._recent, session, self._zone, avoid)
        # Pipeline workers in any state: the reservation reads their state of this moment.
        pipeline_workers = [report.worker_id for report in self._registry.pipeline_workers if report.serves(pool)]
        media_workers = [candidate.worker_id for candidate in ranked]
        chosen = ranked[await self._store.reserve(session, media_workers, pool, pipeline_workers)]
        self._recent.add(chosen.worker_id, wall_ms())
        log.info("session_placed", session_id=session, media_worker=chosen.worker_id, reason=chosen.reason)
        return Placed(session, chosen.worker_id)
