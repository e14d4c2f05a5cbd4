"""A TCP server in front of another one, whose connections can be cut."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from ssl import SSLContext
from typing import Any


class TcpProxy(ABC):
    def __init__(self) -> None:
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def listening(self, tls: SSLContext | None = None) -> AsyncIterator[int]:
        """Its port on loopback. Leaving cuts all connections."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        """All connections. New ones work."""
        for writer in self._writers:
            writer.transport.abort()

    @abstractmethod
    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        try:
            await self.relay(reader, writer)
        finally:
            self._connections.discard(task)
            self._writers.discard(writer)
            writer.close()


async def until_one_ends(*directions: Coroutine[Any, Any, None]) -> None:
    """Run both directions of a connection; the end of one is the end of the other."""
    tasks = [asyncio.create_task(direction) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
