"""Reads a process's inbox stream: items in order, each batch once."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from prometheus_client import Counter

from shared.errors import WireError
from shared.io.broker import BLOCK_MS, BROKER_FAILURES, Redis
from shared.io.logs import get_logger
from shared.wire import Item, decode_batch

PAYLOAD = b"b"
INBOX_EXPIRY_S = 60
"""Renewed by the owner and by every writer, because a writer may recreate the stream of an owner that is gone."""
_ENTRIES_PER_READ = 200
_XREAD = ("XREAD", "COUNT", _ENTRIES_PER_READ, "BLOCK", BLOCK_MS, "STREAMS")
"""Not by the client's own method, whose wrappers take 2 % of a busy pipeline worker. `execute_command` has no types."""
_TRIM_INTERVAL_S = 1.0
_SENDERS_REMEMBERED = 4096

_malformed = Counter("antiphon_inbox_malformed_total", "Batches and items on the inbox that could not be read")
_repeated = Counter("antiphon_inbox_repeated_total", "Batches received twice and dropped")

log = get_logger()


class Inbox:
    """One reader on its own connection. It waits for a broker that is away, and reads nothing twice."""

    def __init__(self, blocking: Redis, key: str) -> None:
        self._redis = blocking
        self._key = key
        self._last_id = b"0-0"
        self._last_number: dict[str, int] = {}
        self._trimmed_at = 0.0

    async def __aiter__(self) -> AsyncIterator[list[Item]]:
        """Endless lists of items: cancel the task that iterates."""
        away = False
        while True:
            try:
                # Always an explicit id: a repeated XREAD with `$` loses what comes between two reads.
                await self._trim()
                reply = cast(
                    list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]],
                    await self._redis.execute_command(*_XREAD, self._key, self._last_id),  # type: ignore[no-untyped-call]
                )
            except BROKER_FAILURES as error:
                if not away:
                    log.warning("inbox_unreachable", key=self._key, error=str(error))
                away = True
                await asyncio.sleep(0.1)
                continue
            if away:
                log.info("inbox_back", key=self._key)
                away = False
            items: list[Item] = []
            for _, entries in reply or ():
                for entry_id, fields in entries:
                    self._last_id = entry_id
                    items += self._decode(fields.get(PAYLOAD, b""))
            if items:
                yield items

    def _decode(self, payload: bytes) -> list[Item]:
        try:
            batch = decode_batch(payload)
        except WireError as error:
            _malformed.inc()
            log.warning("inbox_batch_malformed", key=self._key, code=error.code, error=error.message)
            return []
        if batch.malformed:
            _malformed.inc(batch.malformed)
            log.warning("inbox_items_malformed", key=self._key, sender=batch.sender, items=batch.malformed)
        if batch.number <= self._last_number.get(batch.sender, 0):
            _repeated.inc()
            return []
        self._last_number.pop(batch.sender, None)
        self._last_number[batch.sender] = batch.number
        if len(self._last_number) > _SENDERS_REMEMBERED:
            del self._last_number[next(iter(self._last_number))]
        return batch.items

    async def _trim(self) -> None:
        """Delete what was read, so that an inbox holds seconds, not megabytes."""
        now = asyncio.get_running_loop().time()
        if now - self._trimmed_at >= _TRIM_INTERVAL_S and self._last_id != b"0-0":
            self._trimmed_at = now
            await self._redis.xtrim(self._key, minid=self._last_id.decode(), approximate=False)
