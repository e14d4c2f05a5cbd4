"""A media worker in this process, and stand-ins for the two kinds of processes that it talks to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar, cast

from media_worker.session import MediaContext, Session
from media_worker.settings import MediaSettings
from media_worker.worker import MediaWorker
from shared import keys
from shared.events import (
    AgentSpeechEnded,
    Message,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    PipelineAttached,
    Resume,
    StartPipeline,
)
from shared.frames import AudioFrame, SilenceRun
from shared.ids import new_worker_id
from shared.io.broker import BROKER_FAILURES, connect, connect_blocking
from shared.io.heartbeat import live_workers
from shared.io.inbox import PAYLOAD, Inbox
from shared.keys import WorkerKind
from shared.liveness import TOUCH_INTERVAL_S
from shared.wire import Item, decode_message, encode_batch

MessageT = TypeVar("MessageT", bound=Message)
PATIENCE_S = 15.0


class Correspondent:
    """Another process on the broker: keeps what it receives, and sends at once."""

    kind: WorkerKind

    def __init__(self, broker_url: str, media_worker: str, own_id: str) -> None:
        self.id = own_id
        self.received: list[Item] = []
        self.batches = 0
        self._media_inbox = keys.inbox("media", media_worker)
        self._redis = connect(broker_url)
        self._blocking = connect_blocking(broker_url)
        self._number = 0
        self._sending = asyncio.Lock()
        self._arrived = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks += [asyncio.create_task(self._read()), asyncio.create_task(self._touch())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()
        await self._redis.aclose()
        await self._blocking.aclose()

    async def die(self) -> None:
        """From now on it neither reads nor writes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def send(self, *items: Item, lost_before: int = 0) -> None:
        """`lost_before` is the number of batches that were lost before this one."""
        async with self._sending:  # batches arrive in the order of their numbers
            self._number += 1 + lost_before
            payload = encode_batch(self.id, self._number, self._number - 1, items)
            await self._redis.xadd(self._media_inbox, {PAYLOAD: payload})

    async def until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Wait until `condition` holds; it is checked whenever something comes."""
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(condition)

    def messages(self, message_type: type[MessageT]) -> list[MessageT]:
        return [item for item in self.received if isinstance(item, message_type)]

    async def message(self, message_type: type[MessageT], timeout_s: float = PATIENCE_S, **fields: Any) -> MessageT:
        """The first message of this type with these fields; waits for it."""

        def fitting() -> list[MessageT]:
            return [m for m in self.messages(message_type) if all(getattr(m, k) == v for k, v in fields.items())]

        await self.until(lambda: bool(fitting()), timeout_s)
        return fitting()[0]

    async def _touch(self) -> None:
        while True:
            with contextlib.suppress(*BROKER_FAILURES):
                await self.send()
            await asyncio.sleep(TOUCH_INTERVAL_S)

    async def _read(self) -> None:
        async for received in Inbox(self._blocking, keys.inbox(self.kind, self.id)):
            items = [item for batch in received for item in batch.items]
            self.batches += len(received)
            async with self._arrived:
                self.received += items
                self._arrived.notify_all()


class GatewayStandIn(Correspondent):
    kind: WorkerKind = "gateway"

    async def offer(self, session: str, sdp: str, resume: Resume | None = None) -> OfferAnswered | OfferRefused:
        """The outcome of a first offer."""
        await self.send(OpenSession(session=session, gateway=self.id, agent_id="echo", sdp=sdp, resume=resume))
        return await self.reply(session)

    async def reply(self, session: str) -> OfferAnswered | OfferRefused:
        """The first answer or refusal of this session; waits for it."""

        def replies() -> list[OfferAnswered | OfferRefused]:
            found: list[OfferAnswered | OfferRefused] = [*self.messages(OfferAnswered), *self.messages(OfferRefused)]
            return [reply for reply in found if reply.session == session]

        await self.until(lambda: bool(replies()))
        return replies()[0]


class PipelineStandIn(Correspondent):
    """Claims the jobs of its media worker and attaches itself, unless `claims` is false."""

    kind: WorkerKind = "pipeline"
    claims = True

    def __init__(self, broker_url: str, media_worker: str, own_id: str) -> None:
        super().__init__(broker_url, media_worker, own_id)
        self._media_worker = media_worker
        self.jobs: list[StartPipeline] = []
        self.uplink_from: int | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self.claims:
            self._tasks.append(asyncio.create_task(self._claim()))
        return self

    async def attach(self, session: str, epoch: int = 1, uplink_from: int | None = None) -> None:
        attached = PipelineAttached(session=session, epoch=epoch, pipeline_worker=self.id, uplink_from=uplink_from)
        await self.send(attached)

    async def _claim(self) -> None:
        while True:
            with contextlib.suppress(*BROKER_FAILURES):
                claimed = await cast(Any, self._blocking.blmpop)(0.2, 1, keys.jobs("default"), direction="LEFT")
                for payload in claimed[1] if claimed else ():
                    job = decode_message(payload)
                    if isinstance(job, StartPipeline) and job.media_worker == self._media_worker:
                        self.jobs.append(job)
                        await self.attach(job.session, job.epoch, self.uplink_from)

    async def say(self, session: str, pcm: bytes, rate: int = 24_000, first_sample: int = 0, epoch: int = 1) -> None:
        """One talkspurt of mono audio in pieces of 100 ms, with its end."""
        piece = rate // 10 * 2
        frames = [
            AudioFrame(session, epoch, at // piece, first_sample + at // 2, rate, 1, pcm[at : at + piece])
            for at in range(0, len(pcm), piece)
        ]
        end = AgentSpeechEnded(session=session, epoch=epoch, end_sample=first_sample + len(pcm) // 2)
        await self.send(*frames, end)

    def uplink(self, session: str) -> list[AudioFrame | SilenceRun]:
        """The caller's time line so far."""
        return [item for item in self.received if isinstance(item, AudioFrame | SilenceRun) and item.session == session]


class RunningMediaWorker:
    """A real one, with its two correspondents."""

    def __init__(
        self,
        broker_url: str,
        worker: MediaWorker,
        stop: asyncio.Event,
        gateway: GatewayStandIn,
        pipeline: PipelineStandIn,
    ) -> None:
        self._broker_url = broker_url
        self.worker = worker
        self.stop = stop
        self.gateway = gateway
        self.pipeline = pipeline

    @property
    def sessions(self) -> dict[str, Session]:
        """Those that it carries."""
        assert self.worker.host is not None
        return self.worker.host.sessions

    @property
    def context(self) -> MediaContext:
        assert self.worker.host is not None
        return self.worker.host._context

    async def exchange(self, session: str, sdp: str) -> str:
        """The answer to an offer, which must be accepted."""
        reply = await self.gateway.offer(session, sdp)
        assert isinstance(reply, OfferAnswered), reply
        return reply.sdp

    def another_pipeline(self, **attributes: Any) -> PipelineStandIn:
        """Another pipeline worker, to be entered."""
        return _pipeline(self._broker_url, self.worker.id, attributes)


@asynccontextmanager
async def running_media_worker(
    broker_url: str, claims: bool = True, **settings: Any
) -> AsyncIterator[RunningMediaWorker]:
    """Serving when it is entered; leaves nothing behind. `claims`: its pipeline worker attaches to every session."""
    defaults = {"public_ips": "127.0.0.1", "drain_timeout_s": 0}
    worker = MediaWorker(MediaSettings(redis_url=broker_url, **{**defaults, **settings}))
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    client = connect(broker_url)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not any(
                r.worker_id == worker.id and r.state == "serving" for r in await live_workers(client, "media")
            ):
                if task.done():
                    task.result()
                await asyncio.sleep(0.02)
        async with (
            GatewayStandIn(broker_url, worker.id, new_worker_id("g", "test")) as gateway,
            _pipeline(broker_url, worker.id, {"claims": claims}) as pipeline,
        ):
            yield RunningMediaWorker(broker_url, worker, stop, gateway, pipeline)
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await task
        await client.aclose()


def _pipeline(broker_url: str, media_worker: str, attributes: dict[str, Any]) -> PipelineStandIn:
    pipeline = PipelineStandIn(broker_url, media_worker, new_worker_id("p", "test"))
    for name, value in attributes.items():
        setattr(pipeline, name, value)
    return pipeline
