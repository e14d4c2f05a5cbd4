"""A media worker without media: sends heartbeats, reads its inbox, and answers as configured."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from shared import keys
from shared.events import Message, OfferAnswered, OpenSession, UpdateOffer
from shared.io.broker import Redis, connect, connect_blocking
from shared.io.heartbeat import Heartbeat
from shared.io.inbox import PAYLOAD, Inbox
from shared.io.outbox import Outbox
from shared.keys import WorkerKind
from shared.wire import decode_message
from shared.worker_report import WorkerReport

Respond = Callable[[Message], Sequence[Message]]
MessageT = TypeVar("MessageT", bound=Message)


def answer_every_offer(message: Message) -> Sequence[Message]:
    match message:
        case OpenSession(session=session, sdp=sdp):
            return [OfferAnswered(session=session, sdp=f"answer to {sdp}")]
        case UpdateOffer(session=session, sdp=sdp, offer_number=number):
            return [OfferAnswered(session=session, sdp=f"answer to {sdp}", offer_number=number)]
    return []


class FakeMediaWorker:
    """`received` holds what came; `respond` says what goes back to the gateway of the session."""

    def __init__(self, broker_url: str, worker_id: str = "media-1", capacity: int = 10) -> None:
        self.worker_id = worker_id
        self.respond: Respond = answer_every_offer
        self.received: list[Message] = []
        self.report = WorkerReport(worker_id=worker_id, kind="media", capacity=capacity)
        self._client = connect(broker_url)
        self._blocking = connect_blocking(broker_url)
        self._outbox = Outbox(self._client, worker_id)
        self._heartbeat = Heartbeat(self._client, lambda: self.report)
        self._gateways: dict[str, str] = {}
        self._arrived = asyncio.Condition()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeMediaWorker"]:
        await self._heartbeat.announce()
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(work) for work in (self._heartbeat.run(), self._outbox.run(), self._read())
                ]
                yield self
                for task in running:
                    task.cancel()
        finally:
            await self._client.aclose()
            await self._blocking.aclose()

    def tell_gateway(self, message: Message) -> None:
        self._outbox.send(keys.inbox("gateway", self._gateways[message.session]), message)

    async def wait_for(self, message_type: type[MessageT]) -> MessageT:
        """The first message of this type; waits up to five seconds for it."""
        async with asyncio.timeout(5), self._arrived:
            while True:
                for message in self.received:
                    if isinstance(message, message_type):
                        return message
                await self._arrived.wait()

    async def _read(self) -> None:
        async for received in Inbox(self._blocking, keys.inbox("media", self.worker_id)):
            items = [item for batch in received for item in batch.items]
            async with self._arrived:
                for item in items:
                    assert isinstance(item, Message)
                    self.received.append(item)
                    if isinstance(item, OpenSession):
                        self._gateways[item.session] = item.gateway
                    for response in self.respond(item):
                        self.tell_gateway(response)
                self._arrived.notify_all()


async def announce_worker(
    broker_url: str, kind: WorkerKind, worker_id: str, capacity: int, sessions: int = 0, pool: str = ""
) -> None:
    """Report an idle worker once, for one lease."""
    client = connect(broker_url)
    report = WorkerReport(worker_id=worker_id, kind=kind, capacity=capacity, sessions=sessions, pool=pool)
    await Heartbeat(client, lambda: report).announce()
    await client.aclose()


@asynccontextmanager
async def present_worker(broker_url: str, report: WorkerReport) -> AsyncIterator[None]:
    """An idle worker that keeps its lease."""
    client = connect(broker_url)
    heartbeat = Heartbeat(client, lambda: report)
    await heartbeat.announce()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(heartbeat.run())
        yield
        running.cancel()
    await client.aclose()


async def jobs_of(client: Redis, pool: str) -> list[Message]:
    """The jobs that wait for the pipeline workers of a pool, as soon as there is one."""
    reply = cast(Any, await client.xread({keys.jobs(pool): "0"}, block=400))
    return [decode_message(fields[PAYLOAD]) for _, entries in reply for _, fields in entries]
