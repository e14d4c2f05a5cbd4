"""What the broker keeps of sessions, as tests see it."""

import re

from shared import keys
from shared.io.broker import Redis

_OF_WORKERS = re.compile(r"antiphon:(\{workers\}:(gateway|media|pipeline)(:.*)?|[gmp]:.*:in)")


async def session_keys(client: Redis) -> list[str]:
    """All keys but those of workers and their inboxes."""
    names = [key.decode() async for key in client.scan_iter("*")]
    return sorted(name for name in names if not _OF_WORKERS.fullmatch(name))


async def holder(client: Redis, session: str, field: str) -> str:
    """The id of the worker in a field of the session's record; empty if there is none."""
    value = await client.hget(keys.session(session), field)
    return value.decode() if isinstance(value, bytes) else ""
