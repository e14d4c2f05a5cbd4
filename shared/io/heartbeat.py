"""Heartbeats: each worker renews its lease and its report every second, and reads what the operator wants of it.

Also reads the reports of live workers.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, cast, get_args

from prometheus_client import Gauge, Histogram
from pydantic import ValidationError

from shared import keys
from shared.io.broker import BROKER_FAILURES, CommandRefused, MemoryFull, Redis
from shared.io.build import own_version
from shared.io.inbox import INBOX_EXPIRY_S, PAYLOAD
from shared.io.logs import get_logger
from shared.keys import WIRE_VERSION, WorkerKind
from shared.worker_report import LEASE_MS, REPORT_INTERVAL_S, WISH_MS, Wish, WorkerReport

_drained = Gauge("antiphon_drained_by_operator", "1 while an operator wants this process to take no sessions")
_lag = Histogram(
    "antiphon_event_loop_lag_seconds",
    "How late the event loop woke a sleeper, ten times a second",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
)

_WISHES: tuple[Wish, ...] = get_args(Wish)

log = get_logger()

_LATE_MAIL_S = 10
_AWAY_AFTER_S = 2.0
_LISTED_AFTER_LEASE_MS = 60_000
# KEYS: list of workers. ARGV: worker, its lease, how long it is listed after that. By the broker's clock, because
# machines' clocks may differ.
_ENLIST = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
-- Workers that were killed did not withdraw.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[3]))
"""
_JITTER = 0.1
"""Share of the interval. Without it, workers that an outage brought into step would stay in step."""
_TICK_S = 0.1
"""The event loop is late if it wakes a sleeper late."""


class Heartbeat:
    """Keeps one worker's lease alive while `run` runs. `chance` returns a random number from 0 to 1.

    `on_wish` is called when the operator's `wish` has changed. The report should follow it; it is sent again at once.
    A broker that has lost the wish gets it back from here, so only another wish ends it.
    """

    def __init__(
        self,
        client: Redis,
        report: Callable[[], WorkerReport],
        chance: Callable[[], float] = random.random,
        on_wish: Callable[[Wish], None] = lambda _: None,
    ) -> None:
        self._redis = client
        self._report = report
        self._chance = chance
        self._on_wish = on_wish
        self._answered_at_s: float | None = None
        self._refusal = ""
        self._version = own_version()
        self._lag_s = 0.0
        self.wish: Wish = "serving"

    def not_ready(self) -> str | None:
        """Why the worker is not ready: it was never announced, or the broker has taken no report for two seconds."""
        if self._answered_at_s is None:
            return "not announced to the broker yet"
        silence_s = asyncio.get_running_loop().time() - self._answered_at_s
        if silence_s < _AWAY_AFTER_S:
            return None
        return self._refusal or f"the broker has not answered for {silence_s:.0f} s"

    async def run(self) -> None:
        while True:
            try:
                await self.announce()
            except BROKER_FAILURES as error:
                log.warning("heartbeat_not_sent", error=str(error))
                self._refusal = _refusal(error)
            await self._rest(REPORT_INTERVAL_S * (1 + _JITTER * (2 * self._chance() - 1)))

    async def _rest(self, interval_s: float) -> None:
        clock = asyncio.get_running_loop().time
        end_s, self._lag_s = clock() + interval_s, 0.0
        while (left_s := end_s - clock()) > 0:
            due_s = clock() + min(left_s, _TICK_S)
            await asyncio.sleep(min(left_s, _TICK_S))
            lag_s = max(0.0, clock() - due_s)
            _lag.observe(lag_s)
            self._lag_s = max(self._lag_s, lag_s)

    async def announce(self, placed: tuple[str, ...] | None = None) -> None:
        """Report now. `placed` are reservations (key, session, ...) that the report replaces."""
        wish = await self._announce(placed)
        while wish != self.wish:
            self.wish = wish
            _drained.set(wish != "serving")
            log.info("operator_wish", wish=wish)
            try:
                wish = await self._announce(None)
            finally:
                self._on_wish(self.wish)

    async def _announce(self, placed: tuple[str, ...] | None) -> Wish:
        """Returns what the operator wants now."""
        lag_ms = round(self._lag_s * 1000)
        added = {"reported_at_ms": wall_ms(), "version": self._version, "wire": WIRE_VERSION, "lag_ms": lag_ms}
        report = self._report().model_copy(update=added)
        key, wish = keys.worker(report.kind, report.worker_id), keys.wish(report.kind, report.worker_id)
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(key, mapping=cast(Any, report.to_hash()))
        pipeline.pexpire(key, LEASE_MS)
        if placed is not None:
            pipeline.zrem(*placed)
        if self.wish != "serving":
            pipeline.set(wish, self.wish, px=WISH_MS, nx=True)
        pipeline.getex(wish, px=WISH_MS)
        *_, stored = await pipeline.execute()
        self._answered_at_s = asyncio.get_running_loop().time()
        # On a cluster the inbox lives on another node, so it cannot be part of the transaction.
        inbox = keys.inbox(report.kind, report.worker_id)
        pipeline = self._redis.pipeline(transaction=False)
        listed = (report.worker_id, str(LEASE_MS), str(_LISTED_AFTER_LEASE_MS))
        pipeline.eval(_ENLIST, 1, keys.workers(report.kind), *listed)
        pipeline.expire(inbox, INBOX_EXPIRY_S)
        _, exists = await pipeline.execute()
        if not exists:
            await self._keep_empty(inbox, INBOX_EXPIRY_S)
        return next((wish for wish in _WISHES if stored == wish.encode()), self.wish)

    async def withdraw(self) -> None:
        """End the lease of a stopping worker, so that nothing more is placed on it, and let its keys expire soon."""
        report = self._report()
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(keys.worker(report.kind, report.worker_id), keys.wish(report.kind, report.worker_id))
        pipeline.delete(keys.reservations(report.kind, report.worker_id))
        pipeline.zrem(keys.workers(report.kind), report.worker_id)
        await pipeline.execute()
        await self._keep_empty(keys.inbox(report.kind, report.worker_id), _LATE_MAIL_S)

    async def _keep_empty(self, inbox: str, expiry_s: int) -> None:
        """Create the stream with an expiry, because a late writer would otherwise create one that never expires."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xadd(inbox, {PAYLOAD: b""}, maxlen=0, approximate=False)
        pipeline.expire(inbox, expiry_s)
        await pipeline.execute()


async def live_workers(client: Redis, kind: WorkerKind) -> list[WorkerReport]:
    """The last reports of all workers whose lease is alive."""
    ids = cast(list[bytes], await client.zrange(keys.workers(kind), 0, -1))
    pipeline = client.pipeline(transaction=False)
    for worker_id in ids:
        pipeline.hgetall(keys.worker(kind, worker_id.decode()))
    reports = []
    for fields in await pipeline.execute() if ids else ():
        if not fields:
            continue  # the lease of this worker has ended
        try:
            reports.append(WorkerReport.model_validate({k.decode(): v.decode() for k, v in fields.items()}))
        except ValidationError as error:
            log.warning("worker_report_malformed", error=str(error))
    return reports


def _refusal(error: Exception) -> str:
    """For a reader; empty if the broker is away."""
    if isinstance(error, MemoryFull):
        return "the broker has no memory left"
    return f"the broker refuses the report: {error}" if isinstance(error, CommandRefused) else ""


def wall_ms() -> int:
    """Milliseconds since the Unix epoch. Clocks of machines may differ: leases are by the broker's (docs/redis.md)."""
    return time.time_ns() // 1_000_000
