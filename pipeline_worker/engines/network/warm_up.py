"""Opens a connection to a server in the background, so that the first turn of a call does not wait for handshakes."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.errors import EngineError
from shared.io.logs import get_logger

_WARM_S = 60.0
"""A connection is assumed to stay open for this time after an answer; many servers close it a little later."""
_GIVE_UP_S = 6.0

log = get_logger()


class WarmUp:
    """For one server. Owns its task: close it before the connections."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._warm_until = 0.0
        self._task: asyncio.Task[None] | None = None

    def answered(self) -> None:
        """The server has just answered a request, so a connection is idle."""
        self._warm_until = asyncio.get_running_loop().time() + _WARM_S

    def begin(self, request: Callable[[], Awaitable[None]]) -> None:
        """Makes `request`, unless a connection is idle or being opened. Errors are only logged."""
        is_warm = asyncio.get_running_loop().time() < self._warm_until
        if not is_warm and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._open(request), name=f"warm-up {self._server}")

    async def close(self) -> None:
        """Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _open(self, request: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                await request()
        except (EngineError, TimeoutError) as error:
            log.info("connection_not_warmed", server=self._server, error=str(error) or "no answer")
