"""The connections of the HTTP server: uvicorn's protocols, with bounds on what strangers may hold.

uvicorn lets a client wait forever before and within a request header, and counts WebSockets in no limit. Here every
connection has a slot from accept to close, and a deadline: for the next request, or for the response to the
present one. What exceeds a bound is closed without a word, because a client that obeys HTTP does not get there.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from prometheus_client import Counter, Gauge
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.core.client_address import TrustedProxies, address_block
from gateway.core.connection_limits import SLOTS, ConnectionLimits, Refusal, Slot
from gateway.guard import RETRY_AFTER_S
from shared.io.logs import get_logger
from shared.rate_limiter import RateLimiter

_RESPONSE_S = 30.0
_LINGER_S = 10.0
"""Time in which a client must have read the rest, after its WebSocket has ended."""
_FRAMES_PER_S, _FRAME_BURST = 20, 100
"""Pings, pongs and fragments, which the application does not see. uvicorn pings every 20 s."""
_LATE_BYTES = 262_144
"""What a client may have on its way when it is told that the WebSocket is closed."""
_EMPTY = b"content-length: 0\r\nconnection: close\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: %d\r\n" % RETRY_AFTER_S + _EMPTY
_BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\n" + _EMPTY

_open = Gauge("antiphon_gateway_connections", "Open connections, HTTP and WebSocket")
_refused = Counter("antiphon_gateway_refused_connections_total", "Connections over a limit", ["limit"])
_evicted = Counter("antiphon_gateway_evicted_connections_total", "Connections without a session that made room")
_expired = Counter("antiphon_gateway_expired_connections_total", "Connections closed at a deadline")
_flooding = Counter(
    "antiphon_gateway_flooding_connections_total", "WebSockets cut off for pings, fragments, or data after the end"
)

log = get_logger()


class HttpBounds:
    """The slots of a gateway's connections. Trusted proxies are counted in the total only."""

    def __init__(self, limits: ConnectionLimits, proxies: TrustedProxies, request_timeout_s: float) -> None:
        self.request_timeout_s = request_timeout_s
        self._limits = limits
        self._proxies = proxies
        self._warnings: dict[Refusal, RateLimiter] = {
            "address": RateLimiter(1 / 60, 1),
            "total": RateLimiter(1 / 60, 1),
        }

    def take(self, address: str, now: float, close: Callable[[], None]) -> Slot | None:
        def evict() -> None:
            _evicted.inc()
            close()

        # The guard tells the callers of a proxy apart.
        whose = (None, None) if address in self._proxies else (address_block(address), evict)
        slot = self._limits.take(*whose)
        if isinstance(slot, Slot):
            _open.set(self._limits.open)
            return slot
        _refused.labels(slot).inc()
        if self._warnings[slot].admits(now):
            setting = "ANTIPHON_GATEWAY_MAX_CONNECTIONS" + ("_PER_ADDRESS" if slot == "address" else "")
            log.warning("connections_refused", limit=setting, open=self._limits.open)
        return None

    def free(self, slot: Slot) -> None:
        slot.free()
        _open.set(self._limits.open)


class BoundedConfig(uvicorn.Config):
    """uvicorn passes it to each connection, so it carries the bounds."""

    def __init__(self, app: Any, bounds: HttpBounds, **options: Any) -> None:
        super().__init__(app, http=_HttpConnection, ws=_WebSocketConnection, **options)
        self.bounds = bounds


class _HttpConnection(H11Protocol):
    config: BoundedConfig
    _slot: Slot | None = None
    _deadline: asyncio.TimerHandle | None = None
    _phase: tuple[object, bool] = (None, False)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        address, _ = get_remote_addr(transport) or ("", 0)
        self._slot = self.config.bounds.take(address, self.loop.time(), transport.abort)
        if self._slot is None:
            self.transport = transport
            transport.write(_BUSY)
            transport.close()
            return
        super().connection_made(transport)
        self._set_deadline(self.config.bounds.request_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._cancel_deadline()
        if self._slot is not None:
            self.config.bounds.free(self._slot)

    def data_received(self, data: bytes) -> None:
        if self._slot is not None:
            super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: Any) -> None:
        super().handle_websocket_upgrade(event)
        self._cancel_deadline()
        connection = cast(_WebSocketConnection, self.transport.get_protocol())
        connection.slot, self._slot = self._slot, None
        if not connection.handshake_initiated:
            # More or longer headers than websockets takes. uvicorn would say nothing and keep the connection.
            self.transport.write(_BAD_HANDSHAKE)
            self.transport.close()

    def _watch(self) -> None:
        """Move the deadline when a request begins or its response is complete, and not when bytes arrive."""
        phase = (self.cycle, self.cycle is not None and not self.cycle.response_complete)
        if self._slot is None or phase == self._phase:
            return
        self._phase = phase
        self._set_deadline(_RESPONSE_S if phase[1] else self.config.bounds.request_timeout_s)

    def _set_deadline(self, timeout_s: float) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(timeout_s, self._expire)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        _expired.inc()
        self.transport.abort()


class _WebSocketConnection(WebSocketsSansIOProtocol):
    config: BoundedConfig
    slot: Slot | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._frames = RateLimiter(_FRAMES_PER_S, _FRAME_BURST)
        self._late_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.slot is not None:
            self.config.bounds.free(self.slot)

    async def run_asgi(self) -> None:
        assert self.slot is not None, "the HTTP connection has passed it on"
        cast(dict[str, Any], self.scope)[SLOTS] = (self.slot,)
        await super().run_asgi()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(_LINGER_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        if self.close_sent:
            # uvicorn parses what still comes, until the client's close frame or for 10 s.
            self._late_bytes += len(data)
            if self._late_bytes > _LATE_BYTES:
                self._cut_off()
                return
        super().data_received(data)

    def handle_ping(self) -> None:
        if self._admits_frame():
            super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        if self._admits_frame():
            super().handle_pong(event)

    def handle_cont(self, event: Any) -> None:
        if self._admits_frame():
            super().handle_cont(event)

    def _admits_frame(self) -> bool:
        if self._frames.admits(self.loop.time()):
            return True
        self._cut_off()
        return False

    def _cut_off(self) -> None:
        if not self.transport.is_closing():
            _flooding.inc()
            self.transport.abort()
