"""One pool's lists of sessions that need a pipeline worker: for us, for our zone, and for all.

A job that was taken is gone. If its worker dies before it attaches, the media worker adds another.
"""

from collections.abc import Iterable
from typing import cast

from shared import keys
from shared.errors import WireError
from shared.events import StartPipeline
from shared.io.broker import BLOCK_MS, Redis
from shared.io.logs import get_logger
from shared.wire import decode_message, encode_message

_EXPIRY_S = 60

log = get_logger()


class JobQueue:
    """Raises one of `BROKER_FAILURES` when the broker is away."""

    def __init__(self, blocking: Redis, pool: str, zone: str = "", worker: str = "") -> None:
        self._redis = blocking
        self.pool = pool
        self._own = keys.jobs(pool, worker=worker) if worker else ""
        self._key = keys.jobs(pool)
        self._shared = list(dict.fromkeys((keys.jobs(pool, zone), self._key)))

    async def claim(self, count: int, own: bool = True) -> list[StartPipeline]:
        """Up to `count` sessions, as soon as there are any, first those for us, then those for our zone; none after
        `BLOCK_MS`. Without `own`, those for us are left to go to others."""
        lists = [self._own, *self._shared] if own and self._own else self._shared
        reply = cast(
            tuple[bytes, list[bytes]] | None,
            await self._redis.blmpop(BLOCK_MS / 1000, len(lists), *lists, direction="LEFT", count=count),
        )
        return [job for payload in (reply[1] if reply else ()) if (job := self._decode(payload)) is not None]

    async def give_back(self, jobs: Iterable[StartPipeline]) -> None:
        """For another worker, before all others. If that fails, the media worker asks again."""
        payloads = [encode_message(job) for job in jobs]
        if payloads:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.lpush(self._key, *reversed(payloads))
            pipeline.expire(self._key, _EXPIRY_S)
            await pipeline.execute()

    def _decode(self, payload: bytes) -> StartPipeline | None:
        try:
            message = decode_message(payload)
            if not isinstance(message, StartPipeline):
                raise WireError(f"{type(message).__name__} is not a request")
        except WireError as error:
            log.warning("job_malformed", pool=self.pool, code=error.code, error=error.message)
            return None
        return message
