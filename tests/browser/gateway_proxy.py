"""One address for several gateways, as a load balancer gives them: each connection goes to another one that lives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Self

_PIECE = 65_536


class GatewayProxy:
    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = list(ports)
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.origin = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        """All connections, WebSockets among them. New ones work."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        try:
            gateway_reader, gateway_writer = await self._gateway()
            both = [
                asyncio.create_task(_pass_on(reader, gateway_writer)),
                asyncio.create_task(_pass_on(gateway_reader, writer)),
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            gateway_writer.close()
        except ConnectionError:
            pass  # no gateway lives
        finally:
            self._connections.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _gateway(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._ports.append(self._ports.pop(0))
        for port in list(self._ports):
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise ConnectionError("no gateway lives")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_PIECE):
            writer.write(data)
            await writer.drain()
