"""A WebRTC caller made of aiortc: speaks by its microphone, and records what it hears and is told.

aiortc's own receiver holds back the last 60 ms of every talkspurt until the next one begins, so packets are taken
before it. That is the one private name of aiortc that we rely on here (`_handle_rtp_packet`).
"""

import asyncio
import contextlib
import json
from typing import Any, Self

import websockets
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket

from deploy.evaluation.call_record import CallRecord
from deploy.evaluation.ear import Ear
from deploy.evaluation.microphone import Microphone
from shared.errors import AntiphonError

_CONNECT_TIMEOUT_S = 20.0
_CLOSE_TIMEOUT_S = 5.0


class NotConnected(AntiphonError):
    """The call did not come about."""

    code = "not_connected"


class Caller:
    """Connects on entering, hangs up on leaving."""

    def __init__(self, signaling_url: str, agent_id: str) -> None:
        self._url = signaling_url
        self._agent_id = agent_id
        self._loop = asyncio.get_running_loop()
        self.microphone = Microphone()
        self.record = CallRecord(self._loop.time())
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel = self._pc.createDataChannel("control")
        self._socket: websockets.ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[str] = self._loop.create_future()
        self._ready = asyncio.Event()
        self._ear = Ear(self.record.heard)

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._connect()
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            await self._close()
            raise NotConnected(f"no call over {self._url}: {str(error) or 'no connection in time'}") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def send(self, **message: Any) -> None:
        """On the data channel. Lost if the call is over."""
        if self._channel.readyState == "open":
            self._channel.send(json.dumps(message))

    async def hang_up(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(websockets.ConnectionClosed):
                await self._socket.send(json.dumps({"type": "bye"}))

    async def _connect(self) -> None:
        self._pc.on("connectionstatechange", self._look)
        self._channel.on("open", self._look)
        self._channel.on("message", self._on_message)
        receiver = self._pc.addTransceiver(self.microphone, direction="sendrecv").receiver
        setattr(receiver, "_handle_rtp_packet", self._on_packet)  # noqa: B010 - a method, for mypy
        await self._pc.setLocalDescription(await self._pc.createOffer())
        self._socket = await websockets.connect(self._url)
        self._reading = asyncio.create_task(self._read(self._socket))
        offer = {"type": "offer", "sdp": self._pc.localDescription.sdp, "agentId": self._agent_id}
        await self._socket.send(json.dumps(offer))
        await self._pc.setRemoteDescription(RTCSessionDescription(await self._answer, "answer"))
        await self._ready.wait()
        if self.record.end_reason is not None:
            raise NotConnected(f"the call was over before it began: {self.record.end_reason}")

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._pc.close()
                if self._socket is not None:
                    await self._socket.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._answer.done() and not self._answer.cancelled():
            self._answer.exception()

    async def _read(self, socket: websockets.ClientConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in socket:
                event = json.loads(message)
                if event["type"] == "answer" and not self._answer.done():
                    self._answer.set_result(event["sdp"])
                elif event["type"] == "error" and not self._answer.done():
                    self._answer.set_exception(_refusal(event))
                elif event["type"] not in ("session", "answer"):
                    self._take(event)
        if not self._answer.done():
            self._answer.set_exception(NotConnected("the server closed the connection without an answer"))

    def _look(self) -> None:
        if self._pc.connectionState == "connected" and self._channel.readyState == "open":
            self._ready.set()

    def _on_message(self, message: str) -> None:
        self._take(json.loads(message))

    def _take(self, event: dict[str, Any]) -> None:
        self.record.take(self._loop.time(), event)
        if self.record.end_reason is not None:
            self._ready.set()  # there is nothing to wait for any more

    async def _on_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self._ear.take(packet.sequence_number, packet.timestamp, packet.payload, self._loop.time())


def _refusal(event: dict[str, Any]) -> NotConnected:
    retry_after_ms = event.get("retryAfterMs")
    return NotConnected(f"refused: {event.get('message')}", code=event.get("code"), retry_after_ms=retry_after_ms)
