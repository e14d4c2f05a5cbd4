"""The running sessions as operators see them: pages of records, and what was said.

Each media worker keeps a sorted list of its sessions (`keys.sessions`), so a page costs a bounded read per media worker
and one read per session on it, however many there are.
"""

import json
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from gateway.core.session_record import SessionRecord
from shared import keys
from shared.errors import BrokerError
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger

log = get_logger()


class Page(NamedTuple):
    records: list[SessionRecord]
    """The newest sessions first."""
    total: int
    """Of all pages."""
    after: str
    """Where the next page begins; empty on the last one."""


class SessionList:
    """Every method raises `BrokerError` when the broker is away."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def page(self, limit: int, after: str = "", media_worker: str = "") -> Page:
        """Sessions whose callers are connected; `media_worker`: of that one only."""
        try:
            workers = [media_worker] if media_worker else await self._media_workers()
            members, total = await self._members(workers, limit + 1, after)
            records = await self._records(members[:limit])
        except BROKER_FAILURES as error:
            raise BrokerError(f"the sessions cannot be listed: {error}") from error
        return Page(records, total, members[limit - 1] if len(members) > limit else "")

    async def transcript(self, session: str) -> list[dict[str, Any]]:
        """The conversation so far, oldest entry first."""
        try:
            entries = await cast(Any, self._redis.lrange(keys.conversation(session), 0, -1))
        except BROKER_FAILURES as error:
            raise BrokerError(f"the conversation cannot be read: {error}") from error
        return [dict(json.loads(entry)) for entry in entries]

    async def _media_workers(self) -> list[str]:
        """Also those that died a moment ago: their sessions may still move."""
        ids = cast(list[bytes], await self._redis.zrange(keys.workers("media"), 0, -1))
        return [worker_id.decode() for worker_id in ids]

    async def _members(self, workers: list[str], count: int, after: str) -> tuple[list[str], int]:
        pipeline = self._redis.pipeline(transaction=False)
        for worker_id in workers:
            start = f"({after}" if after else "+"
            pipeline.zrevrangebylex(keys.sessions(worker_id), start, "-", start=0, num=count)
            pipeline.zcard(keys.sessions(worker_id))
        replies = await pipeline.execute() if workers else []
        members = {member.decode() for listed in replies[::2] for member in listed}
        return sorted(members, reverse=True)[:count], sum(replies[1::2])

    async def _records(self, members: list[str]) -> list[SessionRecord]:
        sessions = [member.partition("-")[2] for member in members]
        pipeline = self._redis.pipeline(transaction=False)
        for session in sessions:
            pipeline.hgetall(keys.session(session))
        records = []
        for session, fields in zip(sessions, await pipeline.execute() if sessions else (), strict=True):
            if not fields:
                continue  # has just ended
            decoded = {name.decode(): value.decode() for name, value in fields.items()}
            try:
                records.append(SessionRecord.model_validate({**decoded, "session": session}))
            except ValidationError as error:
                log.warning("session_record_malformed", session_id=session, error=str(error))
        return records
