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
_frames_dropped = _dropped.labels("frame")
_messages_dropped = _dropped.labels("message")

log = get_logger()


@dataclass
class _Destination:
    items: deque[Item] = field(default_factory=deque)
    frames: int = 0

    @property
    def messages(self) -> int:
        return len(self.items) - self.frames

    def drop_oldest(self, *, message: bool) -> None:
        for index, item in enumerate(self.items):
            if isinstance(item, Message) is message:
                del self.items[index]
                self.frames -= not message
                return


class Outbox:
    """`send` from anywhere on the loop; `run` is the one task that writes."""

    def __init__(
        self,
        client: Redis,
        sender: str,
        slot_ms: float = 5.0,
        max_frames: int = _MAX_FRAMES,
        max_messages: int = _MAX_MESSAGES,
    ) -> None:
        self._redis = client
        self._sender = sender
        self._slot_s = slot_ms / 1000
        self._max_frames = max_frames
        self._max_messages = max_messages
        self._number = 0
        self._destinations: dict[str, _Destination] = {}
        self._pending = asyncio.Event()
        self._in_flight: dict[str, bytes] = {}

    def send(self, inbox_key: str, item: Item) -> None:
        """Queue `item` for the process that owns `inbox_key`."""
        destination = self._destinations.get(inbox_key)
        if destination is None:
            destination = self._destinations[inbox_key] = _Destination()
        destination.items.append(item)
        if isinstance(item, tuple):  # a frame; to ask whether it is a `Message` costs pydantic a call in Python
            destination.frames += 1
            if destination.frames > self._max_frames:
                destination.drop_oldest(message=False)
                _frames_dropped.inc()
        elif destination.messages > self._max_messages:
            destination.drop_oldest(message=True)
            _messages_dropped.inc()
        if not self._pending.is_set():
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
        for key in [key for key in self._destinations if key not in self._in_flight]:
            # One count for all destinations: it keeps growing for a reader that was forgotten and comes back.
            self._number += 1
            self._in_flight[key] = encode_batch(self._sender, self._number, self._destinations.pop(key).items)
        if not self._in_flight:
            return
        written = list(self._in_flight)
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for key in written:
                pipeline.xadd(key, {PAYLOAD: self._in_flight[key]}, maxlen=_INBOX_ENTRIES, approximate=True)
            replies = await pipeline.execute(raise_on_error=False)
        except BaseException:
            self._pending.set()
            raise
        failures = []
        for key, reply in zip(written, replies, strict=True):
            # A destination on a cluster node that is down must not hold up the others.
            if isinstance(reply, Exception):
                failures.append(reply)
            else:
                self._in_flight.pop(key, None)
        if failures or self._destinations:
            self._pending.set()
        if failures:
            raise failures[0]
