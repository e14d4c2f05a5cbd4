"""Collects what a process has to say and writes it in batches: one entry per destination and slot.

A frame per command costs ten times as much as a batch (see docs/architecture.md, Broker). A broker that is away
never blocks a caller of `send`: the newest second of audio is kept, older audio is dropped and counted, and
messages are kept up to a bound of their own.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from prometheus_client import Counter

from shared.events import Message
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.inbox import PAYLOAD
from shared.io.logs import get_logger
from shared.wire import Item, encode_batch

_INBOX_ENTRIES = 2_000
_MAX_FRAMES = 10_000
_MAX_MESSAGES = 10_000
_RETRY_S = 0.1

_dropped = Counter("antiphon_outbox_dropped_total", "Items dropped because the broker was away", ["what"])

log = get_logger()


@dataclass
class _Destination:
    items: deque[Item] = field(default_factory=deque)
    frames: int = 0
    number: int = 0


class Outbox:
    """`send` from anywhere on the loop; `run` is the one task that writes."""

    def __init__(self, client: Redis, sender: str, slot_ms: float = 5.0, max_frames: int = _MAX_FRAMES) -> None:
        self._redis = client
        self._sender = sender
        self._slot_s = slot_ms / 1000
        self._max_frames = max_frames
        self._destinations: dict[str, _Destination] = {}
        self._pending = asyncio.Event()
        self._in_flight: dict[str, bytes] = {}

    def send(self, inbox_key: str, item: Item) -> None:
        """Queue `item` for the process that owns `inbox_key`."""
        destination = self._destinations.get(inbox_key)
        if destination is None:
            destination = self._destinations[inbox_key] = _Destination()
        destination.items.append(item)
        if not isinstance(item, Message):
            destination.frames += 1
            if destination.frames > self._max_frames:
                self._drop_oldest_frame(destination)
        elif len(destination.items) - destination.frames > _MAX_MESSAGES:
            destination.items.popleft()
            _dropped.labels("message").inc()
        self._pending.set()

    def forget(self, inbox_key: str) -> None:
        """The process behind it is gone."""
        self._destinations.pop(inbox_key, None)
        self._in_flight.pop(inbox_key, None)

    async def run(self) -> None:
        """Write one batch per destination and slot, for ever."""
        away = False
        while True:
            await self._pending.wait()
            try:
                await self.flush()
            except BROKER_FAILURES as error:
                if not away:
                    log.warning("outbox_unreachable", error=str(error))
                away = True
                await asyncio.sleep(_RETRY_S)
                continue
            if away:
                log.info("outbox_back")
                away = False
            await asyncio.sleep(self._slot_s)

    async def flush(self) -> None:
        """Write all that is queued. What was not acknowledged stays, under its number, for the next try."""
        self._pending.clear()
        for key, destination in self._destinations.items():
            if destination.items and key not in self._in_flight:
                destination.number += 1
                self._in_flight[key] = encode_batch(self._sender, destination.number, destination.items)
                destination.items.clear()
                destination.frames = 0
        if not self._in_flight:
            return
        written = dict(self._in_flight)
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for key, payload in written.items():
                pipeline.xadd(key, {PAYLOAD: payload}, maxlen=_INBOX_ENTRIES, approximate=True)
            await pipeline.execute()
        except BaseException:
            self._pending.set()
            raise
        for key in written:
            self._in_flight.pop(key, None)
        if any(destination.items for destination in self._destinations.values()):
            self._pending.set()

    @staticmethod
    def _drop_oldest_frame(destination: _Destination) -> None:
        for index, item in enumerate(destination.items):
            if not isinstance(item, Message):
                del destination.items[index]
                destination.frames -= 1
                _dropped.labels("frame").inc()
                return
