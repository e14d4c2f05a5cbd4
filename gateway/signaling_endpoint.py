"""The WebSockets of a gateway, and how they leave it: at a drain.

`guard` has checked the origin of a client's page.
"""

import asyncio
from collections.abc import Iterable

from prometheus_client import Gauge
from starlette.websockets import WebSocket

from gateway.client_socket import ClientSocket
from gateway.core.signaling_events import DrainEnded, DrainStarted
from gateway.signaling_connection import SignalingConnection, SignalingServices
from shared.worker_report import Wish

_connections = Gauge("antiphon_gateway_signaling_connections", "Open signaling connections")


class SignalingEndpoint:
    """`run` carries out the operator's wish. `drain` is for the end of the process."""

    def __init__(self, services: SignalingServices, drain_timeout_s: float) -> None:
        self._services = services
        self._drain_timeout_s = drain_timeout_s
        self._stopping = False
        self._wish: Wish = "serving"
        self._wish_changed = asyncio.Event()
        self._open: set[SignalingConnection] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()

    @property
    def connections(self) -> int:
        return len(self._open)

    @property
    def draining(self) -> bool:
        return self._stopping or self._wish != "serving"

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client, from handshake to close."""
        await websocket.accept()
        socket = ClientSocket(websocket, self._services.limits, self._services.send_timeout_s)
        connection = SignalingConnection(self._services, socket)
        self._open.add(connection)
        self._none_open.clear()
        _connections.inc()
        try:
            if self.draining:
                await connection.feed(DrainStarted(0))
            await connection.run()
        finally:
            _connections.dec()
            self._open.discard(connection)
            if not self._open:
                self._none_open.set()

    def follow(self, wish: Wish) -> None:
        """The operator's. Nothing is cut: a client that does not leave stays here."""
        self._wish = wish
        self._wish_changed.set()

    async def run(self) -> None:
        while True:
            await self._wish_changed.wait()
            self._wish_changed.clear()
            if self._wish == "moving":
                await self._tell(self._open)
            elif self._wish == "draining":
                await self._tell(connection for connection in self._open if connection.waits_for_offer)

    async def drain(self) -> None:
        """Ask every client to leave; end the connections that are still open after the timeout."""
        self._stopping = True
        await self._tell(self._open)
        try:
            async with asyncio.timeout(self._drain_timeout_s):
                await self._none_open.wait()
        except TimeoutError:
            await self._feed_all(self._open, DrainEnded())

    async def _tell(self, connections: Iterable[SignalingConnection]) -> None:
        await self._feed_all(connections, DrainStarted(round(self._drain_timeout_s * 1000)))

    @staticmethod
    async def _feed_all(connections: Iterable[SignalingConnection], event: DrainStarted | DrainEnded) -> None:
        async with asyncio.TaskGroup() as tasks:
            for connection in list(connections):
                tasks.create_task(connection.feed(event))
