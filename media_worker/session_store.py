"""What sessions keep in Redis, so that another media worker can take them over: a record and their last events each.

One task writes for all sessions of the process: what has changed, twenty times a second at most. It renews the expiry
of the rest, and writes a record again that is missing, because a broker may come back empty. It looks at one record a
second at least: an outage between two renewals would go unnoticed.
"""

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from shared import keys
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger

_EXPIRY_S = 60
_RENEW_S = 5.0
_PACE_S = 0.05
_RETRY_S = 0.25
_SPREAD_S = 2.0
_LOOK_S = 1.0
_EVENTS_KEPT = 200

_UNLESS_NEWER = "if tonumber(redis.call('HGET', KEYS[1], 'generation') or 0) > tonumber(ARGV[1]) then return 0 end "
"""A media worker that was stopped and wakes up must not touch the record of its successor."""
_UNLESS_ANOTHERS = (
    "local other = redis.call('HGET', KEYS[1], 'media_worker') or ARGV[3] if other ~= ARGV[3] "
    "and tonumber(redis.call('HGET', KEYS[1], 'generation') or 0) == tonumber(ARGV[1]) then return 0 end "
)
"""A client may make two offers at once with one token: one of the two media workers has the session."""
_SAVE = (
    _UNLESS_NEWER
    + _UNLESS_ANOTHERS
    + "redis.call('HSET', KEYS[1], unpack(ARGV, 4)) redis.call('EXPIRE', KEYS[1], tonumber(ARGV[2])) return 1"
)
_RENEW = (
    "if redis.call('EXPIRE', KEYS[1], tonumber(ARGV[1])) == 0 then return 0 end "
    "if redis.call('HGET', KEYS[1], 'media_worker') == ARGV[2] then redis.call('HSET', KEYS[1], unpack(ARGV, 3)) end "
    "return 1"
)
_DELETE = _UNLESS_NEWER + "return redis.call('DEL', unpack(KEYS))"
_EXPIRE = _UNLESS_NEWER + "return redis.call('EXPIRE', KEYS[2], tonumber(ARGV[2]))"

_STORED_ALREADY = "equal or smaller"
"""The error for an event whose id is not the highest: it was written before, here or by another media worker."""

log = get_logger()


class _Kept:
    """One session's record, and its events that are not written yet."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.record: dict[str, str] = {}
        self.unsaved = False
        self.figures: dict[str, str] = {}
        self.saved_figures: dict[str, str] = {}
        self.renew_s = 0.0
        self.events: deque[tuple[int, str, int]] = deque(maxlen=_EVENTS_KEPT)


class SessionStore:
    """`on_superseded` gets the id of a session that another media worker has taken over. A conversation whose pipeline
    worker is gone is kept for `retention_s`. `chance` returns a random number from 0 to 1."""

    def __init__(
        self,
        client: Redis,
        on_superseded: Callable[[str], None],
        retention_s: int = 0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._redis = client
        self._chance = chance
        self._retention_s = retention_s
        self._on_superseded = on_superseded
        self._kept: dict[str, _Kept] = {}
        self._deleted: dict[str, tuple[int, bool]] = {}
        self._changed = asyncio.Event()
        self._looked_s = self._spread_until_s = 0.0

    def save(self, session: str, generation: int, record: dict[str, str]) -> None:
        """Write the record soon, and keep it alive until `delete` or `forget`."""
        kept = self._of(session, generation)
        if kept is not None:
            kept.record, kept.unsaved = record, True
            self._changed.set()

    def measure(self, session: str, generation: int, figures: dict[str, str]) -> None:
        """Add fields to the record that change often and that only operators read: when it is renewed, not before."""
        kept = self._kept.get(session)
        if kept is not None and kept.generation == generation:
            kept.figures = {**kept.figures, **figures}

    def add_event(self, session: str, generation: int, event: dict[str, Any], number: int) -> None:
        """`number` is the one that the pipeline worker gave the event; 0 for our own."""
        kept = self._of(session, generation)
        if kept is not None:
            kept.events.append((event["seq"], json.dumps(event, ensure_ascii=False), number))
            self._changed.set()

    def delete(self, session: str, generation: int, orphaned: bool = False) -> None:
        """The session is over. `orphaned`: so is the conversation, which no pipeline worker will delete."""
        if self.forget(session, generation):
            self._deleted[session] = (generation, orphaned)
            self._changed.set()

    def forget(self, session: str, generation: int) -> bool:
        """The session goes on elsewhere. False if it does so here, as a later generation."""
        kept = self._of(session, generation)
        if kept is not None:
            del self._kept[session]
        return kept is not None

    async def run(self) -> None:
        """Write what changes, until cancelled."""
        clock = asyncio.get_running_loop().time
        away = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._due_s(clock() + _LOOK_S)):
                    await self._changed.wait()
            try:
                await self.write()
                away = False
            except BROKER_FAILURES as error:
                if not away:
                    log.warning("sessions_not_saved", error=str(error))
                away = True
                self._spread_renewals(clock())
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(_PACE_S)

    async def write(self) -> None:
        """Write what is due. Raises one of `BROKER_FAILURES`; then it is still due. Repeating a write is harmless."""
        self._changed.clear()
        now = asyncio.get_running_loop().time()
        self._look(now)
        pipeline = self._redis.pipeline(transaction=False)  # the sessions may be on several cluster nodes
        on_reply: list[Callable[[Any], None]] = []
        for session, (generation, orphaned) in self._deleted.items():
            deleted = [keys.session(session), keys.events(session)]
            if orphaned:
                deleted.append(keys.turn(session))
            if orphaned and self._retention_s:
                kept_keys = (keys.session(session), keys.conversation(session))
                pipeline.eval(_EXPIRE, 2, *kept_keys, str(generation), str(self._retention_s))
                on_reply.append(_ignore)
            elif orphaned:
                deleted.append(keys.conversation(session))
            pipeline.eval(_DELETE, len(deleted), *deleted, str(generation))
            on_reply.append(partial(self._on_deleted, session))
        for session, kept in self._kept.items():
            key, events = keys.session(session), keys.events(session)
            if kept.unsaved:
                fields = [text for field in kept.record.items() for text in field]
                worker = kept.record.get("media_worker", "")
                pipeline.eval(_SAVE, 1, key, str(kept.generation), str(_EXPIRY_S), worker, *fields)
                on_reply.append(partial(self._on_saved, session, kept, kept.record, now))
            elif kept.record and now >= kept.renew_s:
                if kept.figures != kept.saved_figures:
                    fields = [text for field in kept.figures.items() for text in field]
                    worker = kept.record.get("media_worker", "")
                    pipeline.eval(_RENEW, 1, key, str(_EXPIRY_S), worker, *fields)
                else:
                    pipeline.expire(key, _EXPIRY_S)
                on_reply.append(partial(self._on_renewed, session, kept, kept.figures, now))
                pipeline.expire(events, _EXPIRY_S)
                on_reply.append(_ignore)
            for event in kept.events:
                seq, text, number = event
                # The id makes a repeated write an error.
                fields_of_event: dict[Any, Any] = {"e": text, "n": number}
                pipeline.xadd(events, fields_of_event, id=f"{seq}-0", maxlen=_EVENTS_KEPT, approximate=True)
                on_reply.append(partial(_on_event_added, kept, event))
            if kept.events:
                pipeline.expire(events, _EXPIRY_S)
                on_reply.append(_ignore)
        if on_reply:
            failures = []
            for reply, take in zip(await pipeline.execute(raise_on_error=False), on_reply, strict=True):
                # A session on a cluster node that is down must not delay the others.
                if isinstance(reply, Exception) and _STORED_ALREADY not in str(reply):
                    failures.append(reply)
                else:
                    take(reply)
            if failures:
                raise failures[0]

    def _due_s(self, latest_s: float) -> float:
        """When the next record is to be renewed, or `latest_s`."""
        return min([latest_s, *(kept.renew_s for kept in self._kept.values() if kept.record)])

    def _look(self, now: float) -> None:
        """If no record was written or renewed for a second, one is due."""
        if now - self._looked_s >= _LOOK_S:
            recorded = (kept for kept in self._kept.values() if kept.record)
            if next_due := min(recorded, key=lambda kept: kept.renew_s, default=None):
                next_due.renew_s = min(next_due.renew_s, now)

    def _spread_renewals(self, now: float) -> None:
        """The broker may come back empty. Then not all sessions of all workers should write their records at once."""
        self._spread_until_s = now + _SPREAD_S
        for kept in self._kept.values():
            kept.renew_s = now + _SPREAD_S * self._chance()

    def _of(self, session: str, generation: int) -> _Kept | None:
        """What is kept of the session; None if a later generation of it is here."""
        kept = self._kept.get(session)
        if kept is None or kept.generation < generation:
            kept = self._kept[session] = _Kept(generation)
        return kept if kept.generation == generation else None

    def _on_saved(self, session: str, kept: _Kept, record: dict[str, str], now: float, reply: Any) -> None:
        self._looked_s = now
        if not reply:
            if self._kept.get(session) is kept:
                del self._kept[session]
                self._on_superseded(session)
        elif kept.record is record:
            kept.unsaved = False
            kept.renew_s = now + _RENEW_S

    def _on_renewed(self, session: str, kept: _Kept, figures: dict[str, str], now: float, reply: Any) -> None:
        self._looked_s = now
        kept.renew_s = now + _RENEW_S
        kept.saved_figures = figures if reply else {}
        if not reply:
            log.warning("session_record_missing", session_id=session)
            kept.unsaved = True
            self._changed.set()
            if now >= self._spread_until_s:
                self._spread_renewals(now)  # the others are likely missing too

    def _on_deleted(self, session: str, _: Any) -> None:
        self._deleted.pop(session, None)


def _on_event_added(kept: _Kept, event: tuple[int, str, int], _: Any) -> None:
    if kept.events and kept.events[0] is event:
        kept.events.popleft()


def _ignore(_: Any) -> None:
    """Takes a reply that tells nothing."""
