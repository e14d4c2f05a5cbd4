"""Reads what Redis knows of running sessions, for clients that come back."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from gateway.core.session_record import SessionRecord, StoredEvent
from shared import keys
from shared.errors import BrokerError
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger

_MAX_EVENTS = 200
_LOOK_AGAIN_S = (0.1, 0.2, 0.4)
"""A session is recorded when its caller's media is connected, which takes a moment after the answer."""
_LOOK_LONGER_S = 8 * (0.4,)
"""A broker may come back empty. Media workers then write their sessions' records again within about three seconds."""
_SETTLE_S = 0.3
"""By then the media worker has read that another gateway is attached, even if the broker is slow."""

log = get_logger()


class KnownSession(NamedTuple):
    record: SessionRecord
    events: list[StoredEvent]


class SessionDirectory:
    """`broker_settled` says whether the broker has been there for a while."""

    def __init__(self, client: Redis, broker_settled: Callable[[], bool] = lambda: True) -> None:
        self._redis = client
        self._broker_settled = broker_settled

    async def find(self, session: str) -> KnownSession | None:
        """The session's record and its stored events, oldest first. Raises `BrokerError`."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hgetall(keys.session(session))
        pipeline.xrevrange(keys.events(session), count=_MAX_EVENTS)
        try:
            fields, entries = await pipeline.execute()
        except BROKER_FAILURES as error:
            raise BrokerError(f"the session cannot be looked up: {error}") from error
        if not fields:
            return None
        decoded = {name.decode(): value.decode() for name, value in fields.items()}
        try:
            record = SessionRecord.model_validate({**decoded, "session": session})
        except ValidationError as error:
            log.warning("session_record_malformed", session_id=session, error=str(error))
            return None
        return KnownSession(record, _read(session, entries))

    async def wait_for(self, session: str) -> KnownSession | None:
        """As `find`, but a session that has just been answered gets 0.7 s to be recorded, and any gets 4 s while the
        broker has not settled.
        """
        for delay_s in _LOOK_AGAIN_S if self._broker_settled() else (*_LOOK_AGAIN_S, *_LOOK_LONGER_S):
            if (known := await self.find(session)) is not None:
                return known
            await asyncio.sleep(delay_s)
        return await self.find(session)

    async def settled_events(self, session: str) -> list[StoredEvent]:
        """The stored events, a moment later: what still went to the previous gateway is among them.

        Empty if the broker is away.
        """
        await asyncio.sleep(_SETTLE_S)
        try:
            entries = await self._redis.xrevrange(keys.events(session), count=_MAX_EVENTS)
        except BROKER_FAILURES as error:
            log.warning("events_not_replayed", session_id=session, error=str(error))
            return []
        return _read(session, cast(Any, entries))


def _read(session: str, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[StoredEvent]:
    stored = []
    for _, fields in reversed(entries):
        try:
            stored.append(StoredEvent(int(fields.get(b"n", b"0")), dict(json.loads(fields[b"e"]))))
        except (ValueError, TypeError, KeyError) as error:
            log.warning("stored_event_malformed", session_id=session, error=str(error))
    return stored
