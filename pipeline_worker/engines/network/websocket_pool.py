"""Warm WebSocket connections to one endpoint of a vendor.

A connection serves one user at a time and is given back only when nothing more can arrive on it. A connection that is
left in the middle is closed, which is sure to stop the vendor, and a new one is opened in the background.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State

from pipeline_worker.engines.network.errors import busy, refusal, unreachable
from shared.errors import EngineError

_CONNECT_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 1.0
_PONG_TIMEOUT_S = 60.0
"""Long, because reading pauses while the listener is behind, and pongs wait behind the audio."""
_MOST_OPEN = 1000
"""More than a worker has sessions."""
_ALWAYS_IDLE = 4
_IDLE_S = 60.0
"""After this time idle connections above `_ALWAYS_IDLE` are closed."""
_KEEP_ALIVE_S = 4.0
_KEEP_ALIVE_TIMEOUT_S = 2.0

# The library logs all headers, including the key, at level DEBUG.
_quiet = logging.getLogger("antiphon.websocket_pool")
_quiet.setLevel(logging.WARNING)


class WebSocketPool:
    """`keep_alive` is the message that keeps an idle connection open, where the vendor has one."""

    def __init__(self, vendor: str, url: str, headers: Mapping[str, str], *, keep_alive: str | None = None) -> None:
        self.vendor = vendor
        self._url = url
        self._headers = headers
        self._keep_alive = keep_alive
        self._idle: list[tuple[float, ClientConnection]] = []
        """Since when, and which; last in, first out."""
        self._open: set[ClientConnection] = set()
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._warming: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def idle(self) -> int:
        return len(self._idle)

    async def take(self) -> ClientConnection:
        """A warm connection, or else a new one. Raises `EngineError`."""
        connection = self._warm_one()
        if connection is None and self._warming is not None:
            await asyncio.wait([self._warming])
            connection = self._warm_one()
        return connection or await self._connect()

    def give_back(self, connection: ClientConnection) -> None:
        if self._closed or connection.state is not State.OPEN:
            self._run(self._end(connection, None))
            return
        self._idle.append((asyncio.get_running_loop().time(), connection))
        if self._keeping is None:
            self._keeping = self._run(self._keep())

    def discard(self, connection: ClientConnection, farewell: str | None = None) -> None:
        """Closes it in the background. `farewell`, the vendor's message for stopping, is sent first."""
        self._run(self._end(connection, farewell))
        self.warm()

    def warm(self) -> None:
        """Opens a connection in the background, if none is idle."""
        waits = any(connection.state is State.OPEN for _, connection in self._idle)
        if not waits and self._warming is None and not self._closed:
            self._warming = self._run(self._warm())
            self._warming.set_name(f"warm-up {self.vendor}")

    async def try_out(self) -> None:
        """Opens a connection, if none is idle, and keeps it. Raises `EngineError`."""
        self.give_back(await self.take())

    async def close(self) -> None:
        """Idempotent. Connections that are in use are closed too."""
        self._closed = True
        self._idle.clear()
        for connection in self._open:
            self._run(self._end(connection, None))
        for task in (self._warming, self._keeping):
            if task is not None:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _warm_one(self) -> ClientConnection | None:
        while self._idle:
            _, connection = self._idle.pop()
            if connection.state is State.OPEN:
                return connection
            self._open.discard(connection)
        return None

    async def _connect(self) -> ClientConnection:
        if self._closed:
            raise EngineError(f"the connections to {self.vendor} are closed")
        if len(self._open) + self._opening >= _MOST_OPEN:
            raise busy(self.vendor)
        self._opening += 1
        try:
            connection = await connect(
                self._url,
                additional_headers=self._headers,
                compression=None,  # audio does not compress
                open_timeout=_CONNECT_TIMEOUT_S,
                close_timeout=_CLOSE_TIMEOUT_S,
                ping_timeout=_PONG_TIMEOUT_S,
                logger=_quiet,
            )
        except InvalidStatus as error:
            said = error.response.headers.get("dg-error") or (error.response.body or b"").decode(errors="replace")
            raise refusal(self.vendor, error.response.status_code, said) from error
        except (OSError, WebSocketException) as error:  # a TimeoutError is an OSError
            raise unreachable(self.vendor, error) from error
        finally:
            self._opening -= 1
        self._open.add(connection)
        return connection

    async def _end(self, connection: ClientConnection, farewell: str | None) -> None:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                if farewell is not None:
                    await connection.send(farewell)
        except (ConnectionClosed, TimeoutError):
            pass  # it is closed, or the vendor hangs
        finally:
            self._open.discard(connection)
            await connection.close()

    async def _warm(self) -> None:
        try:
            connection = await self._connect()
        except EngineError:
            return  # the next `take` tries again and raises the reason
        finally:
            self._warming = None
        self.give_back(connection)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_ALIVE_S)
            await self._keep_idle()

    async def _keep_idle(self) -> None:
        if self._keep_alive is not None:
            await asyncio.gather(*(_keep_open(connection, self._keep_alive) for _, connection in self._idle))
        long_ago = asyncio.get_running_loop().time() - _IDLE_S
        surplus = len(self._idle) - _ALWAYS_IDLE
        kept = []
        for index, (since, connection) in enumerate(self._idle):
            if connection.state is State.OPEN and (index >= surplus or since > long_ago):
                kept.append((since, connection))
            else:
                self._run(self._end(connection, None))
        self._idle = kept

    def _run(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self.vendor}-pool")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _keep_open(connection: ClientConnection, message: str) -> None:
    try:
        async with asyncio.timeout(_KEEP_ALIVE_TIMEOUT_S):
            await connection.send(message)
    except ConnectionClosed:
        pass  # `take` skips it
    except TimeoutError:
        connection.transport.abort()  # the vendor takes no more data
