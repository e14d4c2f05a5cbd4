"""One address for several gateways, as a load balancer gives them: each connection goes to another one that lives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Self

from tests.fakes.tcp_proxy import TcpProxy, until_one_ends

_PIECE = 65_536


class GatewayProxy(TcpProxy):
    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__()
        self._ports = list(ports)
        self.origin = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        async with self.listening() as port:
            self.origin = f"http://127.0.0.1:{port}"
            yield self

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # no gateway lives
            gateway_reader, gateway_writer = await self._gateway()
            await until_one_ends(_pass_on(reader, gateway_writer), _pass_on(gateway_reader, writer))
            gateway_writer.close()

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
