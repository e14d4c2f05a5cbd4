"""What pipeline workers meet on the broker: a media worker that asks for them and talks to them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from shared import keys
from shared.events import Message, PipelineAttached, StartPipeline
from shared.io.broker import Redis, connect_blocking
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox
from shared.liveness import TOUCH_INTERVAL_S
from shared.wire import Item, encode_message

MEDIA_WORKER = "media-1"
MessageT = TypeVar("MessageT", bound=Message)


class MediaSide:
    def __init__(self, broker: Redis) -> None:
        self.received: list[Item] = []
        self._broker = broker
        self._outbox = Outbox(broker, MEDIA_WORKER)
        self._arrived = asyncio.Event()
        self._told: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, broker: Redis, broker_url: str) -> AsyncIterator["MediaSide"]:
        side = cls(broker)
        blocking = connect_blocking(broker_url)
        tasks = [asyncio.create_task(work) for work in (side._outbox.run(), side._read(blocking), side._touch())]
        try:
            yield side
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await blocking.aclose()

    async def ask_for_pipeline(self, session: str, agent_id: str, pool: str = "default", epoch: int = 1) -> None:
        request = StartPipeline(
            session=session, agent_id=agent_id, media_worker=MEDIA_WORKER, pool=pool, epoch=epoch, resumed=epoch > 1
        )
        await self._broker.rpush(keys.jobs(pool), encode_message(request))

    async def until_attached(self, session: str) -> str:
        """The pipeline worker that took the session."""
        await self.until(lambda: bool(self.of(session, PipelineAttached)))
        return self.of(session, PipelineAttached)[0].pipeline_worker

    def tell(self, pipeline_worker: str, item: Item) -> None:
        key = keys.inbox("pipeline", pipeline_worker)
        self._told.add(key)
        self._outbox.send(key, item)

    def of(self, session: str, message_type: type[MessageT]) -> list[MessageT]:
        return [item for item in self.received if item.session == session and isinstance(item, message_type)]

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until it is true; it is checked whenever something comes."""
        async with asyncio.timeout(10):
            while not reached():
                self._arrived.clear()
                await self._arrived.wait()

    async def _read(self, blocking: Redis) -> None:
        async for received in Inbox(blocking, keys.inbox("media", MEDIA_WORKER)):
            items = [item for batch in received for item in batch.items]
            self.received += items
            self._arrived.set()

    async def _touch(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_INTERVAL_S)
            for key in self._told:
                self._outbox.touch(key)
