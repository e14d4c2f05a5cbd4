"""Keeps a session's conversation in Redis, so that another worker can continue it."""

import asyncio
import json
from collections import deque

from pipeline_worker.turns.conversation import MAX_ENTRIES, Entry, ToolUse
from shared import keys
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.logs import get_logger

_RETRY_S = 0.5

log = get_logger()


class ConversationStore:
    """A list of JSON objects, oldest first: `{"role", "text", "interrupted"}`, or for the use of a tool
    `{"role": "tool", "id", "name", "arguments", "result"}`.

    It expires `expiry_s` after the last entry, in case its worker dies.
    """

    def __init__(self, client: Redis, session: str, expiry_s: int) -> None:
        self._redis = client
        self._key = keys.conversation(session)
        self._session = session
        self._expiry_s = expiry_s
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._unsaved = 0
        self._in_doubt = False
        """It is not known whether the last write was applied: the next one replaces the list."""
        self._added = asyncio.Event()
        self._writing: asyncio.Task[bool] | None = None

    def add(self, entry: Entry) -> None:
        """Returns at once; `run` writes."""
        self._entries.append(entry)
        self._unsaved = min(self._unsaved + 1, MAX_ENTRIES)
        self._added.set()

    async def run(self) -> None:
        """Runs until cancelled; then call `close`. Retries while the broker is away."""
        while True:
            await self._added.wait()
            self._added.clear()
            self._writing = asyncio.create_task(self._save())
            # Shielded, because a cancelled write might be applied after the deletion in `close`.
            if not await asyncio.shield(self._writing):
                self._added.set()
                await asyncio.sleep(_RETRY_S)

    async def close(self, retention_s: int) -> None:
        """The session is over: keep what was said for `retention_s`; 0 deletes it."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        try:
            if not retention_s:
                await self._redis.delete(self._key)
            elif await self._save():
                await self._redis.expire(self._key, retention_s)
        except BROKER_FAILURES as error:
            log.warning("conversation_left_to_expire", session_id=self._session, error=str(error))

    async def _save(self) -> bool:
        """False if it must be retried."""
        entries = list(self._entries)
        pipeline = self._redis.pipeline(transaction=True)
        if self._in_doubt:
            pipeline.delete(self._key)
        else:
            entries = entries[len(entries) - self._unsaved :]
        if not entries:
            return True
        pipeline.rpush(self._key, *map(_as_json, entries))
        pipeline.ltrim(self._key, -MAX_ENTRIES, -1)
        pipeline.expire(self._key, self._expiry_s)
        saving, self._unsaved, self._in_doubt = self._unsaved, 0, True
        try:
            await pipeline.execute()
        except BROKER_FAILURES as error:
            log.warning("conversation_not_saved", session_id=self._session, error=str(error))
            self._unsaved = min(self._unsaved + saving, MAX_ENTRIES)
            return False
        self._in_doubt = False
        return True


def _as_json(entry: Entry) -> bytes:
    fields = entry._asdict()
    if isinstance(entry, ToolUse):
        fields = {"role": "tool", **entry.call._asdict(), "result": entry.result}
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")  # vendors may cut a character in two
