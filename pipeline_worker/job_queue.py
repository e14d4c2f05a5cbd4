"""One pool's stream of sessions that need a pipeline worker, read as a member of its consumer group.

While a session runs here, its entry stays pending and its idle time is reset: whoever finds it old may take the session
over. If the reply to a read is lost, its entries are pending but not served. So after a failure this worker's pending
entries are read before new ones.
"""

from collections.abc import Collection
from typing import NamedTuple, cast

from shared import keys
from shared.errors import WireError
from shared.events import StartPipeline
from shared.io.broker import BLOCK_MS, BROKER_FAILURES, Redis
from shared.io.inbox import PAYLOAD
from shared.io.logs import get_logger
from shared.wire import decode_message

_MAX_PENDING = 1_000

log = get_logger()


class Job(NamedTuple):
    """A claimed entry. `added_at_ms` is when the gateway asked, by the broker's clock."""

    entry_id: str
    added_at_ms: int
    request: StartPipeline


class _Entry(NamedTuple):
    entry_id: str
    payload: bytes


class JobQueue:
    """Every method raises one of `BROKER_FAILURES` when the broker is away. `served` are entry ids."""

    def __init__(self, blocking: Redis, client: Redis, pool: str, worker_id: str) -> None:
        self._blocking = blocking
        self._redis = client
        self.pool = pool
        self._key = keys.jobs(pool)
        self._worker_id = worker_id
        self._in_doubt = True

    async def claim(self, count: int, served: Collection[str]) -> list[Job]:
        """Up to `count` sessions, as soon as there are any; none after `BLOCK_MS`."""
        if self._in_doubt:
            await self._join_group()
            entries = await self._unserved(served)
            self._in_doubt = False
        else:
            self._in_doubt = True
            entries = await self._read(self._blocking, ">", count, BLOCK_MS)
            self._in_doubt = False
        return [job for entry in entries if (job := await self._decode(entry)) is not None]

    async def keep(self, served: Collection[str]) -> None:
        """Show that these are being served."""
        if served:
            await self._redis.xclaim(
                self._key, keys.JOBS_GROUP, self._worker_id, min_idle_time=0, message_ids=list(served), justid=True
            )

    async def remove(self, entry_id: str) -> None:
        """The entry was served, or must not be."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.xack(self._key, keys.JOBS_GROUP, entry_id)
        pipeline.xdel(self._key, entry_id)
        await pipeline.execute()

    async def give_back(self, served: Collection[str]) -> None:
        """Return entries that this worker has claimed but does not serve. It must not claim any more."""
        await self._join_group()  # a worker that is stopped at once has not claimed yet
        for entry in await self._unserved(served):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.xadd(self._key, {PAYLOAD: entry.payload})
            pipeline.xack(self._key, keys.JOBS_GROUP, entry.entry_id)
            pipeline.xdel(self._key, entry.entry_id)
            await pipeline.execute()

    async def leave(self) -> None:
        """Leave the group. Nothing may be pending for this worker, because nobody could find it any more."""
        await self._redis.xgroup_delconsumer(self._key, keys.JOBS_GROUP, self._worker_id)

    async def _join_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._key, keys.JOBS_GROUP, id="0", mkstream=True)
        except BROKER_FAILURES as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _unserved(self, served: Collection[str]) -> list[_Entry]:
        return [
            entry for entry in await self._read(self._redis, "0", _MAX_PENDING, None) if entry.entry_id not in served
        ]

    async def _read(self, client: Redis, since: str, count: int, block_ms: int | None) -> list[_Entry]:
        reply = cast(
            list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes] | None]]]],
            await client.xreadgroup(keys.JOBS_GROUP, self._worker_id, {self._key: since}, count, block_ms),
        )
        return [
            _Entry(entry_id.decode(), (fields or {}).get(PAYLOAD, b""))
            for _, entries in reply or ()
            for entry_id, fields in entries
        ]

    async def _decode(self, entry: _Entry) -> Job | None:
        try:
            request = decode_message(entry.payload)
            if not isinstance(request, StartPipeline):
                raise WireError(f"{type(request).__name__} is not a request")
        except WireError as error:
            log.warning("job_malformed", pool=self.pool, code=error.code, error=error.message)
            await self.remove(entry.entry_id)
            return None
        return Job(entry.entry_id, int(entry.entry_id.partition("-")[0]), request)
