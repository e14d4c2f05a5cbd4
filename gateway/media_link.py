"""The gateway's side of the broker: routes what media workers send to the connection of its session, and back.

A connection's mailbox is bounded. A full mailbox means that the client is not reading. The message that overflows
could be the answer, so the mailbox does not drop it silently: it closes, and its reader sees the end.
"""

import asyncio
from collections.abc import AsyncIterator

from prometheus_client import Counter

from shared import keys
from shared.agent import AgentDefinition
from shared.errors import BrokerError
from shared.events import Message, StartPipeline
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.heartbeat import wall_ms
from shared.io.inbox import PAYLOAD, Inbox
from shared.io.logs import get_logger
from shared.io.outbox import Outbox
from shared.wire import encode_message

_MAILBOX_MESSAGES = 256
_JOBS_KEPT = 1_000
_RECORD_MARGIN_S = 120

_unrouted = Counter("antiphon_gateway_unrouted_messages_total", "Messages for a session without a connection here")
_overflowed = Counter("antiphon_gateway_mailbox_overflows_total", "Clients that did not read what they were sent")

log = get_logger()


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
        self._gateway_id = gateway_id
        self._redis = client
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

    async def request_pipeline(self, session: str, agent: AgentDefinition, media_worker: str, epoch: int = 1) -> None:
        """Write the session's record and its job in one round trip.

        Raises `BrokerError`. Nothing is retried: a write that seems to have failed may have been applied, and two
        jobs would put two agents into one session.
        """
        record = {
            "agent": agent.id,
            "state": "open",
            "media_worker": media_worker,
            "gateway": self._gateway_id,
            "epoch": str(epoch),
            "created": str(wall_ms()),
        }
        job = encode_message(StartPipeline(session=session, agent_id=agent.id, media_worker=media_worker, epoch=epoch))
        try:
            # No transaction, because the two keys may be on two cluster nodes. A node executes a connection's commands
            # in order, so the record is there before the job.
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hset(keys.session(session), mapping=record)  # type: ignore[arg-type]  # redis-py wants an invariant dict
            pipeline.expire(keys.session(session), agent.limits.max_duration_s + _RECORD_MARGIN_S)
            pipeline.xadd(keys.jobs(agent.pool), {PAYLOAD: job}, maxlen=_JOBS_KEPT, approximate=True)
            await pipeline.execute()
        except BROKER_FAILURES as error:
            raise BrokerError(f"the session's job was not written: {error}") from error

    async def forget(self, session: str) -> None:
        """Delete the record of a session that is over. It expires by itself if this fails."""
        try:
            await self._redis.delete(keys.session(session))
        except BROKER_FAILURES as error:
            log.warning("session_record_left", session_id=session, error=str(error))

    async def _route(self) -> None:
        async for items in self._inbox:
            for item in items:
                mailbox = self._mailboxes.get(item.session)
                if mailbox is not None and isinstance(item, Message):
                    mailbox.put(item)
                else:
                    _unrouted.inc()
