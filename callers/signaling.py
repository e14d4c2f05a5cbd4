"""The caller's side of signaling: a WebSocket that carries the offer, the answer and the server's events."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import websockets

from shared.errors import AntiphonError

Event = dict[str, Any]
_CLOSE_TIMEOUT_S = 5.0


class NotConnected(AntiphonError):
    """The call could not be set up."""

    code = "not_connected"


class Signaling:
    """One session at `url`. `on_event` takes each message of the server, the answer included."""

    def __init__(self, url: str, agent_id: str, on_event: Callable[[Event], None]) -> None:
        self.url = url
        self._agent_id = agent_id
        self._on_event = on_event
        self._socket: websockets.ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def exchange(self, offer_sdp: str) -> str:
        """The SDP of the answer. Raises `NotConnected`, with the server's code if it refuses."""
        offer = {"type": "offer", "sdp": offer_sdp, "agentId": self._agent_id}
        try:
            self._socket = await websockets.connect(self.url)
            self._reader = asyncio.create_task(self._read(self._socket))
            await self._socket.send(json.dumps(offer))
        except (OSError, websockets.WebSocketException) as error:
            raise NotConnected(f"no call over {self.url}: {error}") from error
        return await self._answer

    async def hang_up(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(websockets.ConnectionClosed):
                await self._socket.send(json.dumps({"type": "bye"}))

    async def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self._socket.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._answer.done() and not self._answer.cancelled():
            self._answer.exception()  # marks the exception as retrieved, else asyncio logs it

    async def _read(self, socket: websockets.ClientConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in socket:
                event = json.loads(message)
                if event["type"] == "answer" and not self._answer.done():
                    self._answer.set_result(event["sdp"])
                elif event["type"] == "error" and not self._answer.done():
                    self._answer.set_exception(_refusal(event))
                self._on_event(event)
        if not self._answer.done():
            self._answer.set_exception(NotConnected("the server closed the connection without an answer"))


def _refusal(event: Event) -> NotConnected:
    retry_after_ms = event.get("retryAfterMs")
    return NotConnected(f"refused: {event.get('message')}", code=event.get("code"), retry_after_ms=retry_after_ms)
