"""The gateway's side of the broker: routes what media workers send to the connection of its session, and back.

A connection's mailbox is bounded. A full mailbox means that the client is not reading. The message that overflows
could be the answer, so the mailbox does not drop it silently: it closes, and its reader sees the end.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import chain

from prometheus_client import Counter

from shared import keys
from shared.events import Message
from shared.io.broker import Redis
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox

_MAILBOX_MESSAGES = 256

_unrouted = Counter("antiphon_gateway_unrouted_messages_total", "Messages for a session without a connection here")
_overflowed = Counter("antiphon_gateway_mailbox_overflows_total", "Clients that did not read what they were sent")


class Mailbox:
    """Messages for one connection. Iteration ends after an overflow, when everything before it has been read."""

    def __init__(self, size: int = _MAILBOX_MESSAGES) -> None:
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(size + 1)
        self._size = size
        self._overflowed = False

    def put(self, message: Message) -> None:
        if self._overflowed:
            return
        if self._messages.qsize() >= self._size:
            self._overflowed = True
            _overflowed.inc()
            self._messages.put_nowait(None)
            return
        self._messages.put_nowait(message)

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self._messages.get()) is not None:
            yield message


class MediaLink:
    """Routes by session. `run` reads the gateway's inbox and writes its outbox."""

    def __init__(self, gateway_id: str, client: Redis, blocking: Redis) -> None:
        self._inbox = Inbox(blocking, keys.inbox("gateway", gateway_id))
        self._outbox = Outbox(client, gateway_id)
        self._mailboxes: dict[str, Mailbox] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outbox.run())
            tasks.create_task(self._route())

    async def close(self) -> None:
        """Write what is still queued before the process ends; call it when `run` has ended."""
        await self._outbox.close()

    def attach(self, session: str, mailbox: Mailbox) -> None:
        """Deliver this session's messages to `mailbox`, until `detach`."""
        self._mailboxes[session] = mailbox

    def detach(self, session: str) -> None:
        self._mailboxes.pop(session, None)

    def send(self, media_worker: str, message: Message) -> None:
        self._outbox.send(keys.inbox("media", media_worker), message)

    async def _route(self) -> None:
        async for received in self._inbox:
            for item in chain.from_iterable(batch.items for batch in received):
                mailbox = self._mailboxes.get(item.session)
                if mailbox is not None and isinstance(item, Message):
                    mailbox.put(item)
                else:
                    _unrouted.inc()
