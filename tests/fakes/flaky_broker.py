"""A way to the broker that breaks on request: refuses connections, loses replies, or is slow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Literal
from urllib.parse import urlsplit

from tests.fakes.tcp_proxy import TcpProxy, until_one_ends

Mood = Literal["works", "loses replies", "is away"]


class FlakyBroker(TcpProxy):
    """A proxy in front of a real broker. `url` stays the same whatever its mood."""

    def __init__(self, broker_url: str) -> None:
        super().__init__()
        parts = urlsplit(broker_url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 6379
        self._mood: Mood = "works"
        self._stranded: set[asyncio.StreamWriter] = set()
        self.refused = asyncio.Event()
        self.url = ""
        self.delay_s = 0.0
        """Of every command, and once more of every reply."""

    @asynccontextmanager
    async def running(self, tls: SSLContext | None = None) -> AsyncIterator["FlakyBroker"]:
        async with self.listening(tls) as port:
            self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{port}/0"
            yield self

    def becomes(self, mood: Mood) -> None:
        """Change the mood. Open connections break, unless only replies are lost."""
        self._mood = mood
        self.refused.clear()
        if mood != "loses replies":
            self.cut()

    def strands_its_connections(self) -> None:
        """Open connections get no more replies and are not closed, as when a machine is lost. New ones work."""
        self._stranded |= self._writers

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mood == "is away":
            self.refused.set()
            return
        broker_reader, broker_writer = await asyncio.open_connection(self._host, self._port)

        async def commands() -> None:
            async for data in self._late(reader):
                broker_writer.write(data)

        async def replies() -> None:
            async for data in self._late(broker_reader):
                if writer in self._stranded:
                    continue
                if self._mood == "works":
                    writer.write(data)
                elif self._mood == "loses replies":
                    writer.transport.abort()

        try:
            await until_one_ends(commands(), replies())
        finally:
            broker_writer.close()

    async def _late(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """All that the reader brings, each piece `delay_s` after it has come."""
        clock = asyncio.get_running_loop().time
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def read() -> None:
            data = b"?"
            while data:
                data = b""
                with contextlib.suppress(OSError):
                    data = await reader.read(65_536)
                pieces.put_nowait((clock() + self.delay_s, data))

        reading = asyncio.create_task(read())
        try:
            while True:
                due_s, data = await pieces.get()
                if (left_s := due_s - clock()) > 0:
                    await asyncio.sleep(left_s)
                if not data:
                    return
                yield data
        finally:
            reading.cancel()
