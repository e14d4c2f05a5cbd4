"""The gateways and workers, as operators see and steer them."""

from typing import NamedTuple, get_args

from pydantic import ValidationError

from shared import keys
from shared.errors import BrokerError, PeerError
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.heartbeat import live_workers
from shared.keys import WorkerKind
from shared.worker_report import WISH_MS, Wish, WorkerReport

_KINDS: tuple[WorkerKind, ...] = get_args(WorkerKind)


class Worker(NamedTuple):
    report: WorkerReport
    wish: str
    """The operator's; the report follows it within about a second."""


class Fleet:
    """Every method raises `BrokerError` when the broker is away."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def workers(self) -> list[Worker]:
        """All that are alive, by kind and id."""
        try:
            reports = [report for kind in _KINDS for report in await live_workers(self._redis, kind)]
            pipeline = self._redis.pipeline(transaction=False)
            for report in reports:
                pipeline.get(keys.wish(report.kind, report.worker_id))
            wishes = await pipeline.execute() if reports else []
        except BROKER_FAILURES as error:
            raise BrokerError(f"the workers cannot be listed: {error}") from error
        workers = [Worker(report, (wish or b"serving").decode()) for report, wish in zip(reports, wishes, strict=True)]
        return sorted(workers, key=lambda worker: (worker.report.kind, worker.report.worker_id))

    async def wish(self, worker_id: str, wish: Wish) -> None:
        """The worker reads it with its next heartbeat, within a second or so.

        Raises `PeerError` with code `unknown_worker`.
        """
        try:
            kind = await self._kind(worker_id)
            await self._redis.set(keys.wish(kind, worker_id), wish, px=WISH_MS)
        except BROKER_FAILURES as error:
            raise BrokerError(f"the worker was not told: {error}") from error

    async def _kind(self, worker_id: str) -> WorkerKind:
        pipeline = self._redis.pipeline(transaction=False)
        for kind in _KINDS:
            pipeline.hgetall(keys.worker(kind, worker_id))
        for fields in await pipeline.execute():
            try:
                report = WorkerReport.model_validate({name.decode(): value.decode() for name, value in fields.items()})
            except ValidationError:
                continue
            if report.worker_id == worker_id:
                return report.kind
        raise PeerError(f"no worker '{worker_id}' is alive", code="unknown_worker")
