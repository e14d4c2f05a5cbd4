"""Opens a connection to a server in the background, so that a call's first turn does not wait for its handshakes."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.errors import EngineError
from shared.io.logs import get_logger

_WARM_S = 60.0
"""So long after an answer a connection is taken to be open; many a server closes an idle one after a little more."""
_GIVE_UP_S = 6.0

log = get_logger()


class WarmUp:
    """Of one server. Its task is its own: who closes the connections closes it first."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._warm_until = 0.0
        self._task: asyncio.Task[None] | None = None

    def answered(self) -> None:
        """The server has just answered a request, whose connection now waits for the next one."""
        self._warm_until = asyncio.get_running_loop().time() + _WARM_S

    def begin(self, request: Callable[[], Awaitable[None]]) -> None:
        """Makes `request`, unless a connection waits or is being opened. What goes wrong is only logged."""
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
