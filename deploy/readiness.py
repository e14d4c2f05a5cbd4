"""Whether a one-machine deployment can take its first caller."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared.errors import AntiphonError
from shared.io.broker import BROKER_FAILURES, Redis
from shared.io.heartbeat import live_workers
from shared.keys import WorkerKind

_POLL_S = 0.2
_PATIENCE_S = 15.0
_DEADLINE_S = 120.0
_HTTP_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Expected:
    """What has to be there."""

    gateway_host: str
    gateway_port: int
    media_workers: int
    pipeline_workers: int


async def wait_until_ready(client: Redis, expected: Expected, say: Callable[[str], None]) -> None:
    """Return once nothing is missing. Raises `AntiphonError` that names what still is after two minutes."""
    clock = asyncio.get_running_loop().time
    started_at = clock()
    say_again_at = started_at + _PATIENCE_S
    while absent := await missing(client, expected):
        if clock() - started_at > _DEADLINE_S:
            raise AntiphonError(f"not ready after {_DEADLINE_S:g} s: no {', no '.join(absent)}", code="not_ready")
        if clock() > say_again_at:
            say_again_at = clock() + _PATIENCE_S
            say(f"Still waiting for: {', '.join(absent)}")
        await asyncio.sleep(_POLL_S)


async def missing(client: Redis, expected: Expected) -> list[str]:
    """Kinds of processes of which there are too few."""
    kinds = []
    if await http_status(expected.gateway_host, expected.gateway_port, "/readyz") != 200:
        kinds.append("gateway")
    if await _serving(client, "media") < expected.media_workers:
        kinds.append("media worker")
    if await _serving(client, "pipeline") < expected.pipeline_workers:
        kinds.append("pipeline worker")
    return kinds


async def _serving(client: Redis, kind: WorkerKind) -> int:
    try:
        return sum(report.state == "serving" for report in await live_workers(client, kind))
    except BROKER_FAILURES:
        return 0


async def http_status(host: str, port: int, path: str) -> int | None:
    """Status of a GET; None if nobody answers in time."""
    try:
        async with asyncio.timeout(_HTTP_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                words = (await reader.readline()).split()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
