"""Keys that nobody alive owns: what a session, or a worker that has died, has left in the broker."""

import asyncio
import re
from collections.abc import Collection
from typing import Any

from shared.io.broker import Redis

_GONE_AFTER_S = 100.0
"""A pipeline worker waits half a minute for a media worker that has died, whose inbox lives for a minute after that."""
_OF_WORKER = re.compile(
    r"antiphon:(?:[gmp]:(?P<inbox>.*):in|\{workers\}:(?:gateway|media|pipeline):(?P<report>.*?)(?::wish)?)"
)
_LIST_OF_WORKERS = re.compile(r"antiphon:\{workers\}:(gateway|media|pipeline)")
_OF_TOKENS = re.compile(r"antiphon:token.*")


async def leftover_keys(client: Redis, alive: Collection[str]) -> list[str]:
    """All keys but those of tokens and of the workers that are `alive`; and dead workers in the lists of workers."""
    left = []
    untyped: Any = client
    for key in sorted([key.decode() async for key in client.scan_iter("*")]):
        if _LIST_OF_WORKERS.fullmatch(key):
            members = [member.decode() for member in await untyped.zrange(key, 0, -1)]
            left += [f"{member} in {key}" for member in members if member not in alive]
        elif found := _OF_WORKER.fullmatch(key):
            if (found["inbox"] or found["report"]) not in alive:
                left.append(key)
        elif not _OF_TOKENS.fullmatch(key):
            left.append(key)
    return left


async def keys_for_ever(client: Redis) -> list[str]:
    """What no expiry will delete, but for the lists of workers, which the next worker cleans."""
    names = sorted([key.decode() async for key in client.scan_iter("*")])
    return [name for name in names if not _LIST_OF_WORKERS.fullmatch(name) and await client.ttl(name) == -1]


async def leftovers_at_last(client: Redis, alive: Collection[str]) -> list[str]:
    """Empty as soon as nothing is left, else what outlives every expiry."""
    deadline_s = asyncio.get_running_loop().time() + _GONE_AFTER_S
    while left := await leftover_keys(client, alive):
        if asyncio.get_running_loop().time() > deadline_s:
            break
        await asyncio.sleep(0.2)
    return left
