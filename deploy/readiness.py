"""Whether a one-machine deployment can take its first caller."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx

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
    """What a complete deployment has."""

    gateway_url: str
    media_workers: int
    pipeline_workers: int


async def wait_until_ready(broker: Redis, expected: Expected, say: Callable[[str], None]) -> None:
    """Return when nothing is missing. Raises `AntiphonError` that names what is still missing after two minutes."""
    clock = asyncio.get_running_loop().time
    started_at = clock()
    say_again_at = started_at + _PATIENCE_S
    # Proxies of the environment are not for a gateway on this machine.
    async with httpx.AsyncClient(base_url=expected.gateway_url, trust_env=False, timeout=_HTTP_TIMEOUT_S) as gateway:
        while absent := await missing(broker, gateway, expected):
            if clock() - started_at > _DEADLINE_S:
                raise AntiphonError(f"not ready after {_DEADLINE_S:g} s: no {', no '.join(absent)}", code="not_ready")
            if clock() > say_again_at:
                say_again_at = clock() + _PATIENCE_S
                say(f"Still waiting for: {', '.join(absent)}")
            await asyncio.sleep(_POLL_S)


async def missing(broker: Redis, gateway: httpx.AsyncClient, expected: Expected) -> list[str]:
    """The kinds of processes of which there are too few."""
    kinds = []
    if not await _is_ready(gateway):
        kinds.append("gateway")
    if await _serving(broker, "media") < expected.media_workers:
        kinds.append("media worker")
    if await _serving(broker, "pipeline") < expected.pipeline_workers:
        kinds.append("pipeline worker")
    return kinds


async def _is_ready(gateway: httpx.AsyncClient) -> bool:
    try:
        return (await gateway.get("/readyz")).is_success
    except httpx.HTTPError:
        return False


async def _serving(broker: Redis, kind: WorkerKind) -> int:
    try:
        return sum(report.state == "serving" for report in await live_workers(broker, kind))
    except BROKER_FAILURES:
        return 0
