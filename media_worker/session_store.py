"""What a session keeps in Redis: the job by which it asks for a pipeline worker, and its record.

Only the media worker that holds the session writes these. Every method raises one of `BROKER_FAILURES` when the broker
is away.
"""

from shared import keys
from shared.events import OpenSession, StartPipeline
from shared.io.broker import Redis
from shared.io.heartbeat import wall_ms
from shared.wire import encode_message
from shared.worker_report import RESERVATION_MS

_EXPIRY_S = 60
"""Keys are renewed more often than this while their session lives."""


class SessionStore:
    """One session's keys. `opening` is the gateway's message, `media_worker` our own id."""

    def __init__(self, client: Redis, opening: OpenSession, media_worker: str) -> None:
        self._redis = client
        self._opening = opening
        self._media_worker = media_worker
        self._jobs = keys.jobs(opening.pool)
        self._waiting: bytes | None = None

    async def request_pipeline(self, job: StartPipeline) -> None:
        """Add the job to its pool's list, and hold a slot of the pool until the worker reports the session."""
        opening = self._opening
        payload = encode_message(job)
        record = {
            "agent": opening.agent_id,
            "pool": opening.pool,
            "media_worker": self._media_worker,
            "gateway": opening.gateway,
            "epoch": str(job.epoch),
            "created_ms": str(opening.created_ms),
        }
        self._waiting = payload
        reservations = keys.reservations("pipeline", opening.pool)
        # No transaction, because the keys may be on several cluster nodes.
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hset(keys.session(opening.session), mapping=record)  # type: ignore[arg-type]  # an invariant dict
        pipeline.expire(keys.session(opening.session), opening.max_duration_s + _EXPIRY_S)
        pipeline.zadd(reservations, {opening.session: wall_ms() + RESERVATION_MS})
        pipeline.pexpire(reservations, RESERVATION_MS)
        pipeline.rpush(self._jobs, payload)
        pipeline.expire(self._jobs, _EXPIRY_S)
        await pipeline.execute()

    async def close(self) -> None:
        """The session is over: delete its record, and the job if it still waits."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.delete(keys.session(self._opening.session))
        if self._waiting is not None:
            pipeline.lrem(self._jobs, 0, self._waiting)  # type: ignore[arg-type]  # redis-py wants a string
        await pipeline.execute()
