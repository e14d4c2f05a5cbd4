"""Reads a process's inbox stream: batches in order, each once. Knows which senders have fallen silent."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import NamedTuple, cast

from prometheus_client import Counter, Histogram

from shared.errors import WireError
from shared.io.broker import BROKER_FAILURES, CommandRefused, Redis
from shared.io.logs import get_logger
from shared.liveness import Liveness
from shared.wire import Item, decode_batch

PAYLOAD = b"b"
INBOX_EXPIRY_S = 60
"""Renewed by the owner and by every writer, because a writer may recreate the stream of an owner that is gone."""
_ENTRIES_PER_READ = 200
BLOCK_MS = 400
"""Short, because a process that can read nothing does not know who is alive (see `shared.liveness`)."""
_XREAD = ("XREAD", "COUNT", _ENTRIES_PER_READ, "BLOCK", BLOCK_MS, "STREAMS")
"""Not by the client's own method, whose wrappers take 2 % of a busy pipeline worker. `execute_command` has no types."""
_READ_EVERY_S = 0.002
"""Reads are most of a broker's work: with 25 writers there would be one for each of their batches."""
_TEND_INTERVAL_S = 1.0
_TO_OURSELVES = b""
_SENDERS_REMEMBERED = 4096

_malformed = Counter("antiphon_inbox_malformed_total", "Batches and items on the inbox that could not be read")
_repeated = Counter("antiphon_inbox_repeated_total", "Batches received twice and dropped")
_gaps = Counter("antiphon_inbox_gaps_total", "Times that batches of a sender were lost before they were read")
_hop = Histogram(
    "antiphon_broker_hop_seconds",
    "From a write of this process to the broker until it reads the broker's reply, once a second",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 4.0),
)

log = get_logger()


class Received(NamedTuple):
    """A batch. `follows_gap`: earlier batches of its sender were lost."""

    sender: str
    items: list[Item]
    follows_gap: bool


class Inbox:
    """One reader on its own connection. It waits for a broker that is away, and reads nothing twice."""

    def __init__(self, blocking: Redis, key: str) -> None:
        self.liveness = Liveness()
        self._redis = blocking
        self._key = key
        self._last_id = b"0-0"
        self._last_number: dict[str, int] = {}
        self._tended_s = -math.inf
        self._hears_itself = True

    async def __aiter__(self) -> AsyncIterator[list[Received]]:
        """Endless: cancel the task that iterates. A list is empty if nothing came for 0.4 s."""
        clock = asyncio.get_running_loop().time
        away, asked_s = False, -math.inf
        while True:
            # What comes soon after a message is read together with what comes next.
            if (early_s := asked_s + _READ_EVERY_S - clock()) > 0:
                await asyncio.sleep(early_s)
            asked_s = clock()
            try:
                if away:
                    await self._find_position()
                # Always an explicit id: a repeated XREAD with `$` loses what comes between two reads.
                await self._tend()
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
            if self._hears_itself:
                self.liveness.on_read(clock())
            received: list[Received] = []
            for _, entries in reply or ():
                for entry_id, fields in entries:
                    self._last_id = entry_id
                    payload = fields.get(PAYLOAD)
                    if payload != _TO_OURSELVES and (batch := self._decode(payload or b"")) is not None:
                        received.append(batch)
            yield received

    def _decode(self, payload: bytes) -> Received | None:
        try:
            batch = decode_batch(payload)
        except WireError as error:
            _malformed.inc()
            log.warning("inbox_batch_malformed", key=self._key, code=error.code, error=error.message)
            return None
        if batch.malformed:
            _malformed.inc(batch.malformed)
            log.warning("inbox_items_malformed", key=self._key, sender=batch.sender, items=batch.malformed)
        self.liveness.on_heard(batch.sender)
        last = self._last_number.pop(batch.sender, 0)
        self._last_number[batch.sender] = max(last, batch.number)
        if batch.number <= last:
            _repeated.inc()
            return None
        if len(self._last_number) > _SENDERS_REMEMBERED:
            del self._last_number[next(iter(self._last_number))]
        follows_gap = last != 0 and batch.previous > last
        if follows_gap:
            _gaps.inc()
            log.warning("inbox_batches_lost", key=self._key, sender=batch.sender)
        return Received(batch.sender, batch.items, follows_gap)

    async def _find_position(self) -> None:
        """After an outage the stream may be a new one, whose ids are below ours if the broker's clock is behind.

        Reading from its beginning repeats nothing, because batches are numbered.
        """
        try:
            last_id = cast(bytes, (await self._redis.xinfo_stream(self._key))["last-generated-id"])
        except CommandRefused:
            last_id = b"0-0"  # there is no stream
        if _as_number(last_id) < _as_number(self._last_id):
            log.warning("inbox_starts_again", key=self._key)
            self._last_id = b"0-0"

    async def _tend(self) -> None:
        """Once a second, deletes what was read, so that an inbox holds seconds, not megabytes, and writes to itself.

        A broker whose memory is full can be read as before, but takes no messages. Then silence proves nothing.
        The write and its reply take the way of a message from process to process: in, through the broker's queue, out,
        and to a reader on this event loop. So their time is that of a hop, by one clock.
        """
        clock = asyncio.get_running_loop().time
        now = clock()
        if now - self._tended_s < _TEND_INTERVAL_S:
            return
        self._tended_s = now
        await self._redis.xtrim(self._key, minid=self._last_id.decode(), approximate=False)
        heard_itself = self._hears_itself
        written_s = clock()
        try:
            await self._redis.xadd(self._key, {PAYLOAD: _TO_OURSELVES}, nomkstream=True)
            _hop.observe(clock() - written_s)
            self._hears_itself = True
        except CommandRefused as error:
            self._hears_itself = False
            if heard_itself:
                log.warning("inbox_takes_no_messages", key=self._key, error=str(error))


def _as_number(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)
