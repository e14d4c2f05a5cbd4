"""The sets in which this process keeps its sessions: the list that operators read, and the counters of limits.

One task writes for all sessions: what has changed at once, and everything every few seconds, because a broker may come
back empty. What a process that was killed leaves behind expires.
"""

import asyncio
import contextlib
from collections import defaultdict
from typing import NamedTuple

from media_worker.leases import hold
from shared import keys
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger
from shared.worker_report import COUNTED_MS

_LISTED_S = 60
_RENEW_S = 5.0
_PACE_S = 0.05
_RETRY_S = 0.25

log = get_logger()


class _Entry(NamedTuple):
    generation: int
    counted_in: tuple[str, ...]
    listed_as: str
    """Empty while the session is counted only: another media worker may still have it."""


class SessionIndex:
    """`run` is the only writer."""

    def __init__(self, client: Redis, media_worker: str) -> None:
        self._redis = client
        self._list = keys.sessions(media_worker)
        self._entries: dict[str, _Entry] = {}
        self._unwritten: set[str] = set()
        self._gone: list[tuple[str, _Entry, bool]] = []
        self._changed = asyncio.Event()

    def add(self, session: str, generation: int, counted_in: tuple[str, ...]) -> None:
        """The session is here, connected or not."""
        before = self._entries.get(session)
        if before is None or before.generation < generation:
            self._put(session, _Entry(generation, counted_in, before.listed_as if before is not None else ""))

    def enlist(self, session: str, generation: int, created_ms: int) -> None:
        """Its caller is connected."""
        entry, listed_as = self._entries.get(session), keys.listed_session(session, created_ms)
        if entry is not None and entry.generation == generation and entry.listed_as != listed_as:
            self._put(session, entry._replace(listed_as=listed_as))

    def remove(self, session: str, generation: int, moved: bool) -> None:
        """It is over, or has `moved` to another media worker, which counts it from now on."""
        entry = self._entries.get(session)
        if entry is not None and entry.generation == generation:
            del self._entries[session]
            self._unwritten.discard(session)
            self._gone.append((session, entry, moved))
            self._changed.set()

    async def run(self) -> None:
        """Write what changes, until cancelled."""
        clock = asyncio.get_running_loop().time
        away, renew_s = False, 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(renew_s):
                    await self._changed.wait()
            if clock() >= renew_s:
                self._unwritten = set(self._entries)
                renew_s = clock() + _RENEW_S
            try:
                await self.write()
                away = False
            except BROKER_FAILURES as error:
                if not away:
                    log.warning("session_index_not_written", error=str(error))
                away, renew_s = True, 0.0  # it may come back empty
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(_PACE_S)

    async def write(self) -> None:
        """Raises one of `BROKER_FAILURES`; then everything is written again by the next call."""
        self._changed.clear()
        unwritten, self._unwritten = self._unwritten, set()
        gone, self._gone = self._gone, []
        listed: list[str] = []
        counted: dict[str, list[str]] = defaultdict(list)
        removed: dict[str, list[str]] = defaultdict(list)
        for session, entry, moved in gone:
            if entry.listed_as:
                removed[self._list].append(entry.listed_as)
            for counter in () if moved else entry.counted_in:
                removed[counter].append(session)
        for session in unwritten:
            entry = self._entries[session]
            if entry.listed_as:
                listed.append(entry.listed_as)
            for counter in entry.counted_in:
                counted[counter].append(session)
        if not listed and not counted and not removed:
            return
        pipeline = self._redis.pipeline(transaction=False)  # the sets may be on several cluster nodes
        for key, members in removed.items():
            pipeline.zrem(key, *members)
        if listed:
            pipeline.zadd(self._list, dict.fromkeys(listed, 0))
            pipeline.expire(self._list, _LISTED_S)
        for counter, sessions in counted.items():
            hold(pipeline, counter, sessions, COUNTED_MS)
        try:
            await pipeline.execute()
        except BaseException:
            self._gone[:0] = gone
            self._unwritten |= unwritten & self._entries.keys()
            self._changed.set()
            raise

    def _put(self, session: str, entry: _Entry) -> None:
        self._entries[session] = entry
        self._unwritten.add(session)
        self._changed.set()
