"""Collects what a process sends and writes it in batches: one entry per destination and slot.

One command per frame costs ten times as much as a batch (see docs/architecture.md, Broker). `send` never blocks, even
when the broker is away: the newest two seconds of audio are kept, older audio is dropped and counted, and messages
are kept up to a separate bound.
"""

import asyncio
import contextlib
import math
from dataclasses import dataclass

from prometheus_client import Counter

from shared.events import Message
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.inbox import INBOX_EXPIRY_S, PAYLOAD
from shared.io.logs import get_logger
from shared.io.send_queue import SendQueue
from shared.wire import Item, encode_batch

SLOT_MS = 8.0
"""How long items wait for others of their batch, at most. The fewer batches, the less work for everybody."""
_INBOX_ENTRIES = 2_000
_RENEW_S = 1.0
_MAX_FRAMES = 10_000
_MAX_MESSAGES = 10_000
_MAX_FRAME_AGE_S = 2.0
"""Enough to bridge a failover of the broker. Older audio would only delay what is being said now."""
_RETRY_S = 0.1
_CLOSE_TIMEOUT_S = 2.0
_DESTINATIONS_REMEMBERED = 4_096

_dropped = Counter(
    "antiphon_outbox_dropped_total", "Items dropped: the broker was away, or they cannot be encoded", ["what"]
)
_frames_dropped = _dropped.labels("frame")
_messages_dropped = _dropped.labels("message")
_unencodable = _dropped.labels("unencodable")

log = get_logger()


@dataclass
class _Batch:
    """A batch that was written and is not acknowledged yet."""

    number: int
    previous: int
    encoded_s: float
    messages: list[Message]
    frames: int
    payload: bytes


class Outbox:
    """`send` may be called from anywhere on the loop; only `run` writes."""

    def __init__(
        self,
        client: Redis,
        sender: str,
        slot_ms: float = SLOT_MS,
        max_frames: int = _MAX_FRAMES,
        max_messages: int = _MAX_MESSAGES,
        max_frame_age_s: float = _MAX_FRAME_AGE_S,
    ) -> None:
        self._redis = client
        self._sender = sender
        self._slot_s = slot_ms / 1000
        self._max_frames = max_frames
        self._max_messages = max_messages
        self._max_frame_age_s = max_frame_age_s
        self._number = 0
        self._last_number: dict[str, int] = {}
        """Of the last batch for each destination."""
        self._queues: dict[str, SendQueue] = {}
        self._pending = asyncio.Event()
        self._in_flight: dict[str, _Batch] = {}
        self._renewed: set[str] = set()
        """Inboxes whose expiry was renewed in the second that began at `_renewed_s`."""
        self._renewed_s = -math.inf

    def send(self, inbox_key: str, item: Item) -> None:
        """Queue `item` for the process that owns `inbox_key`."""
        queue = self._queues.get(inbox_key)
        if queue is None:
            queue = self._queues[inbox_key] = SendQueue(asyncio.get_running_loop().time)
        if isinstance(item, tuple):  # a frame; `isinstance(item, Message)` is slower, because pydantic overrides it
            if not queue.add_frame(item, self._max_frames):
                _frames_dropped.inc()
        elif not queue.add_message(item, self._max_messages):
            _messages_dropped.inc()
        if not self._pending.is_set():
            self._pending.set()

    def touch(self, inbox_key: str) -> None:
        """Write to this inbox soon, if only an empty batch: its owner notices when we fall silent."""
        if inbox_key not in self._queues:
            self._queues[inbox_key] = SendQueue(asyncio.get_running_loop().time)
            self._pending.set()

    async def run(self) -> None:
        """Write one batch per destination and slot, until cancelled."""
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
        """Write everything queued. What is not acknowledged stays, under its number, for the next attempt."""
        self._pending.clear()
        now = asyncio.get_running_loop().time()
        self._drop_old_audio(now - self._max_frame_age_s)
        for key in [key for key in self._queues if key not in self._in_flight]:
            self._in_flight[key] = self._encode(key, self._queues.pop(key), now)
        if not self._in_flight:
            return
        written = list(self._in_flight)
        if now - self._renewed_s >= _RENEW_S:
            self._renewed.clear()
            self._renewed_s = now
        renewing = [key for key in written if key not in self._renewed]
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for key in written:
                pipeline.xadd(key, {PAYLOAD: self._in_flight[key].payload}, maxlen=_INBOX_ENTRIES, approximate=True)
            # The owner may be gone. Then the write recreates the stream, which must expire too.
            for key in renewing:
                pipeline.expire(key, INBOX_EXPIRY_S)
            replies = await pipeline.execute(raise_on_error=False)
        except BaseException:
            self._renewed.clear()  # the broker may come back empty
            self._pending.set()
            raise
        self._renewed.update(renewing)
        failures = []
        for key, reply in zip(written, replies[: len(written)], strict=True):
            # A destination on a cluster node that is down must not delay the others.
            if isinstance(reply, Exception):
                failures.append(reply)
            else:
                self._in_flight.pop(key, None)
        if failures or self._queues:
            self._pending.set()
        if failures:
            self._renewed.clear()
            raise failures[0]

    async def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Write what is left before the process ends. Call it after `run` has ended, or both would write.

        One `flush` is not enough: what came while a batch was unacknowledged waits for the next.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._queues or self._in_flight:
                    try:
                        await self.flush()
                    except BROKER_FAILURES:
                        await asyncio.sleep(_RETRY_S)
        lost = {*self._queues, *self._in_flight}
        if lost:
            log.warning("last_messages_lost", inboxes=sorted(lost))

    def _encode(self, key: str, queue: SendQueue, now: float) -> _Batch:
        # One counter for all destinations, so that it still grows for a reader that was forgotten and comes back.
        self._number += 1
        number, previous = self._number, self._last_number.pop(key, 0)
        self._last_number[key] = number
        if len(self._last_number) > _DESTINATIONS_REMEMBERED:
            del self._last_number[next(iter(self._last_number))]
        items, messages = queue.items(), queue.messages()
        try:
            payload = encode_batch(self._sender, number, previous, items)
        except ValueError:
            items = [item for item in items if self._can_be_encoded(item)]
            messages = [item for item in items if isinstance(item, Message)]
            payload = encode_batch(self._sender, number, previous, items)
        return _Batch(number, previous, now, messages, len(items) - len(messages), payload)

    def _can_be_encoded(self, item: Item) -> bool:
        try:
            encode_batch(self._sender, 1, 0, [item])
        except ValueError as error:
            _unencodable.inc()
            log.warning("message_not_encodable", session_id=item.session, error=str(error))
            return False
        return True

    def _drop_old_audio(self, until_s: float) -> None:
        for queue in self._queues.values():
            _frames_dropped.inc(queue.drop_frames_until(until_s))
        for batch in self._in_flight.values():
            if batch.frames and batch.encoded_s <= until_s:
                # The number stays: a reader that already has the batch drops this copy, any other gets the messages.
                _frames_dropped.inc(batch.frames)
                batch.frames = 0
                batch.payload = encode_batch(self._sender, batch.number, batch.previous, batch.messages)
