"""What the pipeline receives of one session, copied from its inbox without removing anything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeGuard, cast

import numpy as np

from shared import keys
from shared.audio import UPLINK_RATE, Pcm, as_samples, duration_ms, level_dbfs
from shared.frames import AudioFrame, SilenceRun
from shared.io.broker import BLOCK_MS, Redis, connect_blocking
from shared.io.heartbeat import live_workers
from shared.io.inbox import PAYLOAD
from shared.wire import Item, decode_batch

_LOUD_DBFS = -50.0
_Entry = tuple[bytes, dict[bytes, bytes]]


class PipelineTap:
    """The caller's voice as the pipeline has it: 16 kHz mono on the session's time line."""

    def __init__(self, session: str) -> None:
        self.items: list[AudioFrame | SilenceRun] = []
        self._session = session

    @property
    def loud_ms(self) -> float:
        """The number of 20 ms frames with sound."""
        loud = sum(frame.samples for frame in self._frames if level_dbfs(as_samples(frame.pcm)) > _LOUD_DBFS)
        return duration_ms(loud, UPLINK_RATE)

    def pcm(self) -> Pcm:
        """All of it, silence as zeros."""
        if not self.items:
            return np.zeros(0, np.int16)
        first = self.items[0].first_sample
        line = np.zeros(max(item.end_sample for item in self.items) - first, np.int16)
        for frame in self._frames:
            line[frame.first_sample - first : frame.end_sample - first] = as_samples(frame.pcm)
        return line

    def gaps(self) -> int:
        """Samples missing between one item and the next.

        The pipeline worker trims its inbox as it reads, so on a busy machine an item may be gone before we see it.
        """
        following = zip(self.items, self.items[1:], strict=False)
        return sum(
            abs(after.first_sample - before.end_sample) for before, after in following if after.seq == before.seq + 1
        )

    def clear(self) -> None:
        self.items.clear()

    @property
    def _frames(self) -> list[AudioFrame]:
        return [item for item in self.items if isinstance(item, AudioFrame)]

    async def read(self, client: Redis, inbox: str) -> None:
        """Run until cancelled."""
        last = cast(list[_Entry], await client.xrevrange(inbox, count=1))
        position = last[0][0] if last else b"0-0"
        while True:
            reply = await client.xread({inbox: position}, block=BLOCK_MS)
            for _, entries in cast(list[tuple[bytes, list[_Entry]]], reply or []):
                position = entries[-1][0]
                for payload in (fields[PAYLOAD] for _, fields in entries):
                    if payload:  # else the worker has written to itself
                        self.items += filter(self._is_ours, decode_batch(payload).items)

    def _is_ours(self, item: Item) -> TypeGuard[AudioFrame | SilenceRun]:
        return isinstance(item, AudioFrame | SilenceRun) and item.session == self._session


@contextlib.asynccontextmanager
async def tapped(broker_url: str, session: str) -> AsyncIterator[PipelineTap]:
    """Copy from now on. There is one pipeline worker."""
    client = connect_blocking(broker_url)
    (worker,) = await live_workers(client, "pipeline")
    tap = PipelineTap(session)
    reader = asyncio.create_task(tap.read(client, keys.inbox("pipeline", worker.worker_id)))
    try:
        yield tap
    finally:
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
        await client.aclose()
