"""A media worker without media: sends heartbeats, keeps records, reads its inbox, and answers as configured."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from shared import keys
from shared.events import (
    ClientEventSent,
    GatewayAttached,
    Message,
    OfferAnswered,
    OpenSession,
    UpdateOffer,
    client_event,
)
from shared.io.broker import connect, connect_blocking
from shared.io.heartbeat import Heartbeat
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox
from shared.keys import WorkerKind
from shared.liveness import TOUCH_INTERVAL_S
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
        self._openings: dict[str, OpenSession] = {}
        self._running: list[asyncio.Task[None]] = []
        self._arrived = asyncio.Condition()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeMediaWorker"]:
        await self._heartbeat.announce()
        try:
            async with asyncio.TaskGroup() as tasks:
                works = (self._heartbeat.run(), self._outbox.run(), self._read(), self._touch())
                self._running = [tasks.create_task(work) for work in works]
                yield self
                self.die()
        finally:
            await self._client.aclose()
            await self._blocking.aclose()

    def die(self) -> None:
        """As by `kill -9`: its lease expires by itself."""
        for task in self._running:
            task.cancel()

    def lose_a_batch(self, gateway: str) -> None:
        """As if the broker had lost the next one for this gateway."""
        self._outbox._number += 1
        self._outbox._last_number[keys.inbox("gateway", gateway)] = self._outbox._number

    async def connect_caller(self, session: str) -> None:
        """The caller's media is up: write the session's record."""
        opening = self._openings[session]
        record = {
            "agent": opening.agent_id,
            "pool": opening.pool,
            "media_worker": self.worker_id,
            "generation": opening.resume.generation if opening.resume else 1,
            "gateway": opening.gateway,
            "created_ms": opening.created_ms,
            "max_duration_s": opening.max_duration_s,
            "resume_tokens": ",".join(opening.resume_tokens),
        }
        await self._client.hset(keys.session(session), mapping=record)  # type: ignore[arg-type]  # an invariant dict

    async def publish(self, session: str, seq: int, text: str) -> dict[str, Any]:
        """Record an event of the pipeline worker and send it to the client."""
        event = client_event("transcript", seq, {"role": "agent", "text": text})
        await self._client.xadd(keys.events(session), {"e": json.dumps(event), "n": str(seq)})
        self.tell_gateway(ClientEventSent(session=session, event=event))
        return event

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
                    if isinstance(item, OpenSession | GatewayAttached):
                        self._gateways[item.session] = item.gateway
                    if isinstance(item, OpenSession):
                        self._openings[item.session] = item
                    if isinstance(item, GatewayAttached):
                        record = {"gateway": item.gateway, "resume_tokens": ",".join(item.resume_tokens)}
                        await self._client.hset(keys.session(item.session), mapping=record)  # type: ignore[arg-type]
                    for response in self.respond(item):
                        self.tell_gateway(response)
                self._arrived.notify_all()

    async def _touch(self) -> None:
        while True:
            for gateway in set(self._gateways.values()):
                self._outbox.touch(keys.inbox("gateway", gateway))
            await asyncio.sleep(TOUCH_INTERVAL_S)


async def announce_worker(
    broker_url: str, kind: WorkerKind, worker_id: str, capacity: int, sessions: int = 0, pool: str = "", zone: str = ""
) -> None:
    """Report an idle worker once, for one lease."""
    client = connect(broker_url)
    report = WorkerReport(worker_id=worker_id, kind=kind, capacity=capacity, sessions=sessions, pool=pool, zone=zone)
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
