"""The gateway's side of the broker: what media workers say goes to the connection of its session, and back.

A connection's mailbox is bounded. When it is full the client is not reading, and losing one message could be losing
its answer: the mailbox closes, and its reader is told, instead of dropping something in the middle.
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

_unrouted = Counter("antiphon_gateway_unrouted_messages_total", "Messages for a session that no client is here for")
_overflowed = Counter("antiphon_gateway_mailbox_overflows_total", "Clients that did not read what they were sent")

log = get_logger()


class Mailbox:
    """Messages for one connection. Iterating ends after an overflow, when all that was in time is read."""

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
        """Write what is left to say, before the process ends; call it when `run` has ended."""
        await self._outbox.close()

    def attach(self, session: str, mailbox: Mailbox) -> None:
        """What comes for this session goes there, until `detach`."""
        self._mailboxes[session] = mailbox

    def detach(self, session: str) -> None:
        self._mailboxes.pop(session, None)

    def send(self, media_worker: str, message: Message) -> None:
        self._outbox.send(keys.inbox("media", media_worker), message)

    async def request_pipeline(self, session: str, agent: AgentDefinition, media_worker: str, epoch: int = 1) -> None:
        """Record the session, then write its job. Raises `BrokerError`; nothing is repeated, because a write that
        seems to have failed may have been applied, and two jobs would be two agents in one session.
        """
        record = {
            "agent": agent.id,
            "state": "open",
            "media_worker": media_worker,
            "gateway": self._gateway_id,
            "epoch": str(epoch),
            "created": str(wall_ms()),
        }
        job = StartPipeline(session=session, agent_id=agent.id, media_worker=media_worker, epoch=epoch)
        try:
            # Not with the job in one pipeline: on a cluster they are on two nodes, and the record has to be first.
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hset(keys.session(session), mapping=record)  # type: ignore[arg-type]  # redis-py wants an invariant dict
            pipeline.expire(keys.session(session), agent.limits.max_duration_s + _RECORD_MARGIN_S)
            await pipeline.execute()
            await self._redis.xadd(
                keys.jobs(agent.pool), {PAYLOAD: encode_message(job)}, maxlen=_JOBS_KEPT, approximate=True
            )
        except BROKER_FAILURES as error:
            raise BrokerError(f"the session's job was not written: {error}") from error

    async def forget(self, session: str) -> None:
        """The session is over: its record goes. (It expires by itself if this fails.)"""
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
