"""A way to the broker that breaks on request: refuses connections, or delivers commands and loses the replies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Literal
from urllib.parse import urlsplit

Mood = Literal["works", "loses replies", "is away"]


class FlakyBroker:
    """A proxy in front of a real broker. `url` stays the same whatever its mood."""

    def __init__(self, broker_url: str) -> None:
        parts = urlsplit(broker_url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 6379
        self._mood: Mood = "works"
        self._server: asyncio.Server
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._stranded: set[asyncio.StreamWriter] = set()
        self.refused = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def running(self, tls: SSLContext | None = None) -> AsyncIterator["FlakyBroker"]:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        try:
            yield self
        finally:
            self._server.close()
            self._drop_connections()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def becomes(self, mood: Mood) -> None:
        """Change the mood. Open connections break, unless only replies are lost."""
        self._mood = mood
        self.refused.clear()
        if mood != "loses replies":
            self._drop_connections()

    def strands_its_connections(self) -> None:
        """Open connections get no more replies and are not closed, as when a machine is lost. New ones work."""
        self._stranded |= self._writers

    def _drop_connections(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        try:
            if self._mood == "is away":
                self.refused.set()
            else:
                await self._relay(reader, writer)
        finally:
            self._connections.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection(self._host, self._port)

        async def commands() -> None:
            while data := await reader.read(65_536):
                broker_writer.write(data)

        async def replies() -> None:
            while data := await broker_reader.read(65_536):
                if writer in self._stranded:
                    continue
                if self._mood == "works":
                    writer.write(data)
                elif self._mood == "loses replies":
                    writer.transport.abort()

        both = [asyncio.create_task(commands()), asyncio.create_task(replies())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            broker_writer.close()
