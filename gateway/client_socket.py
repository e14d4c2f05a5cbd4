"""The WebSocket of one signaling client: JSON in both directions, within bounds.

A client that sends too fast is not parsed, and a flood ends the reading. A client that does not read hits the send
deadline.
"""

import asyncio
from collections.abc import AsyncGenerator

from prometheus_client import Counter
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gateway.core.client_messages import ClientMessage, Limits, UnknownMessage, parse_client_message
from gateway.core.connection_limits import SLOTS
from gateway.core.rate_limits import TOO_MANY_MESSAGES, MessageRateLimiter
from gateway.core.signaling_events import BadMessage, ClientTooSlow, SocketClosed
from gateway.core.signaling_rules import POLICY
from shared.errors import PeerError
from shared.io.logs import get_logger

_errors = Counter("antiphon_gateway_signaling_errors_total", "Errors sent to clients, by code", ["code"])
_dropped = Counter("antiphon_gateway_dropped_messages_total", "Client messages over the rate limit")
_unknown = Counter("antiphon_gateway_unknown_messages_total", "Client messages of a type that is not known")

log = get_logger()


class ClientSocket:
    """`session` is for the log."""

    def __init__(self, websocket: WebSocket, limits: Limits, send_timeout_s: float) -> None:
        self.session = ""
        self._websocket = websocket
        self._limits = limits
        self._send_timeout_s = send_timeout_s
        self._rate = MessageRateLimiter(limits.max_message_bytes)

    @property
    def address(self) -> str:
        return self._websocket.client.host if self._websocket.client else ""

    @property
    def traceparent(self) -> str:
        """Of the client's own trace (W3C Trace Context §3.2), or of a proxy's. Not checked."""
        return self._websocket.headers.get("traceparent", "")

    def keep_slots(self) -> None:
        """The client has a session: its connection does not have to make room for others."""
        for slot in self._websocket.scope.get(SLOTS, ()):
            slot.keep()

    async def messages(self) -> AsyncGenerator[ClientMessage | BadMessage, None]:
        """Until the client disconnects or floods. The next message is read when this one has been handled."""
        while (received := await self._websocket.receive())["type"] != "websocket.disconnect":
            text = received.get("text")
            match self._rate.judge(len(received.get("bytes") or text or ""), asyncio.get_running_loop().time()):
                case "admitted":
                    yield self._parsed(text)
                case "refused":
                    _dropped.inc()
                    yield BadMessage("too_many_messages", TOO_MANY_MESSAGES)
                case "dropped":
                    _dropped.inc()
                case "flood":
                    log.info("signaling_flooded", session_id=self.session)
                    await self.close(POLICY, "too_many_messages")
                    return

    async def send(self, message: dict[str, object]) -> ClientTooSlow | SocketClosed | None:
        """Returns why the message was not delivered."""
        if message.get("type") == "error":
            _errors.labels(message.get("code")).inc()
            log.info("client_error", session_id=self.session, code=message.get("code"))
        if not self._connected:
            return None
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._websocket.send_json(message)
        except TimeoutError:
            return ClientTooSlow()
        except WebSocketDisconnect:
            return SocketClosed()
        return None

    async def close(self, code: int, reason: str) -> None:
        if not self._connected:
            return
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect):
            log.info("close_not_delivered", session_id=self.session)

    def _parsed(self, text: str | None) -> ClientMessage | BadMessage:
        if text is None:
            return BadMessage("bad_message", "messages are text, not binary")
        try:
            message = parse_client_message(text, self._limits)
        except PeerError as error:
            return BadMessage(error.code, error.message)
        if isinstance(message, UnknownMessage):
            _unknown.inc()
        return message

    @property
    def _connected(self) -> bool:
        connected = WebSocketState.CONNECTED
        return self._websocket.client_state is connected and self._websocket.application_state is connected
