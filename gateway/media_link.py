"""The gateway's side of the broker: routes what media workers send to the connection of its session, and back.

A connection's mailbox is bounded. A full mailbox means that the client is not reading. The message that overflows
could be the answer, so the mailbox does not drop it silently: it closes, and its reader sees the end.

A media worker writes to a gateway at least twice a second while it has a session there (see `shared.liveness`). One
that has fallen silent counts as lost until it is heard again.
"""

import asyncio
from collections.abc import AsyncIterator, Collection

from prometheus_client import Counter

from gateway.core.signaling_events import Heard, MediaWorkerBack, MediaWorkerLost, MessagesLost
from shared import keys
from shared.events import NEVER_CONNECTED, Message, SessionClosed
from shared.io.broker import Redis
from shared.io.inbox import Inbox, Received
from shared.io.logs import get_logger
from shared.io.outbox import Outbox

_LOST_AFTER_S = 2.5
"""A little longer than the workers wait for each other, so that a pipeline worker's takeover comes first."""
_FORGET_AFTER_S = 5.0
"""By then the lease of a dead worker has expired. One without a session here may be alive and have nothing to say."""
_MAILBOX_MESSAGES = 256

_unrouted = Counter("antiphon_gateway_unrouted_messages_total", "Messages for a session without a connection here")
_overflowed = Counter("antiphon_gateway_mailbox_overflows_total", "Clients that did not read what they were sent")
_lost = Counter("antiphon_gateway_media_workers_lost_total", "Media workers that fell silent while they had a session")

log = get_logger()

Mail = Heard | MediaWorkerLost | MediaWorkerBack | MessagesLost


class Mailbox:
    """Mail for one connection. Iteration ends after an overflow, when everything before it has been read."""

    def __init__(self, size: int = _MAILBOX_MESSAGES) -> None:
        self._mail: asyncio.Queue[Mail | None] = asyncio.Queue(size + 1)
        self._size = size
        self._overflowed = False

    def put(self, mail: Mail) -> None:
        if self._overflowed:
            return
        if self._mail.qsize() >= self._size:
            self._overflowed = True
            _overflowed.inc()
            self._mail.put_nowait(None)
            return
        self._mail.put_nowait(mail)

    async def __aiter__(self) -> AsyncIterator[Mail]:
        while (mail := await self._mail.get()) is not None:
            yield mail


class MediaLink:
    """Routes by session. `run` reads the gateway's inbox and writes its outbox."""

    def __init__(self, gateway_id: str, client: Redis, blocking: Redis, lost_after_s: float = _LOST_AFTER_S) -> None:
        self._inbox = Inbox(blocking, keys.inbox("gateway", gateway_id))
        self._outbox = Outbox(client, gateway_id)
        self._lost_after_s = lost_after_s
        self._mailboxes: dict[str, Mailbox] = {}
        self._watched: dict[str, str] = {}
        """Session -> the media worker that should be heard, because it has the session."""
        self._lost_at_s: dict[str, float] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outbox.run())
            tasks.create_task(self._read())

    async def close(self) -> None:
        """Write what is still queued before the process ends; call it when `run` has ended."""
        await self._outbox.close()

    def attach(self, session: str, mailbox: Mailbox) -> None:
        """Deliver this session's messages to `mailbox`, until `detach`. Another connection that had it is told."""
        previous = self._mailboxes.get(session)
        if previous is not None and previous is not mailbox:
            replaced = SessionClosed(session=session, reason="replaced")
            previous.put(Heard(self._watched.pop(session, ""), replaced))
        self._mailboxes[session] = mailbox

    def watch(self, session: str, media_worker: str, mailbox: Mailbox) -> None:
        """This media worker has the session now. The connection is told if it falls silent, unless it was replaced."""
        if self._mailboxes.get(session) is not mailbox:
            return
        if media_worker not in self._watched.values():
            # Its silence so far was that of one with nothing to say to us.
            self._inbox.liveness.on_heard(media_worker)
        self._watched[session] = media_worker

    def detach(self, session: str, mailbox: Mailbox) -> None:
        if self._mailboxes.get(session) is mailbox:
            del self._mailboxes[session]
            self._watched.pop(session, None)

    def send(self, media_worker: str, message: Message) -> None:
        self._outbox.send(keys.inbox("media", media_worker), message)

    def doubt(self, media_worker: str) -> None:
        """It has not answered in time: it counts as lost, for new sessions, until it is heard."""
        self._lost_at_s[media_worker] = asyncio.get_running_loop().time()

    @property
    def lost(self) -> Collection[str]:
        """Media workers that should have been heard and were not."""
        return self._lost_at_s.keys()

    async def _read(self) -> None:
        async for received in self._inbox:
            for batch in received:
                self._deliver(batch)
            self._find_lost()

    def _deliver(self, batch: Received) -> None:
        if self._lost_at_s.pop(batch.sender, None) is not None:
            self._tell_all(MediaWorkerBack(batch.sender))
        if batch.follows_gap:
            self._tell_all(MessagesLost(batch.sender))
        for item in batch.items:
            if isinstance(item, SessionClosed) and item.reason in NEVER_CONNECTED:
                self._watched.pop(item.session, None)  # without the session it may have nothing more to say to us
            mailbox = self._mailboxes.get(item.session)
            if mailbox is not None and isinstance(item, Message):
                mailbox.put(Heard(batch.sender, item))
            else:
                _unrouted.inc()

    def _find_lost(self) -> None:
        now_s = asyncio.get_running_loop().time()
        watched = set(self._watched.values())
        for media_worker in watched - self._lost_at_s.keys():
            if self._inbox.liveness.is_lost(media_worker, self._lost_after_s):
                _lost.inc()
                log.warning("media_worker_lost", media_worker=media_worker)
                self._lost_at_s[media_worker] = now_s
                self._tell_all(MediaWorkerLost(media_worker))
        for media_worker in self._lost_at_s.keys() - watched:
            if now_s - self._lost_at_s[media_worker] > _FORGET_AFTER_S:
                del self._lost_at_s[media_worker]

    def _tell_all(self, mail: MediaWorkerLost | MediaWorkerBack | MessagesLost) -> None:
        for session, media_worker in self._watched.items():
            if media_worker == mail.media_worker:
                self._mailboxes[session].put(mail)
