"""What tests of moving sessions share: records, and offers that resume."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from shared import keys
from shared.events import (
    OfferAnswered,
    Resume,
)
from shared.io.broker import Redis
from tests.fakes.media_correspondents import (
    PATIENCE_S,
    RunningMediaWorker,
)


async def record_of(broker: Redis, session: str = "s1") -> dict[str, str]:
    fields = await cast(Awaitable[dict[bytes, bytes]], broker.hgetall(keys.session(session)))
    return {name.decode(): value.decode() for name, value in fields.items()}


async def recorded(
    broker: Redis, fits: Callable[[dict[str, str]], object], session: str = "s1", timeout_s: float = PATIENCE_S
) -> dict[str, str]:
    """The record, once it fits."""
    async with asyncio.timeout(timeout_s):
        while not fits(record := await record_of(broker, session)):  # noqa: ASYNC110 - a key has no event
            await asyncio.sleep(0.02)
    return record


async def stored_events(broker: Redis) -> list[tuple[dict[str, Any], int]]:
    entries = await broker.xrange(keys.events("s1"))
    return [(json.loads(fields[b"e"]), int(fields[b"n"])) for _, fields in cast(Any, entries)]


def resume_of(house: RunningMediaWorker, **changes: Any) -> Resume:
    fields = {
        "generation": 2,
        "epoch": 1,
        "pipeline_worker": house.pipeline.id,
        "media_worker": house.worker.id,
        "seq": 40,
        "published": 5,
    }
    return Resume(**{**fields, **changes})


def offering(house: RunningMediaWorker, resume: Resume) -> Callable[[str], Awaitable[str]]:
    async def exchange(sdp: str) -> str:
        house.gateway.received.clear()
        reply = await house.gateway.offer("s1", sdp, resume)
        assert isinstance(reply, OfferAnswered)
        return reply.sdp

    return exchange
