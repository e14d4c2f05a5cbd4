"""A WebRTC caller on aiortc: speaks into its microphone, and records what it hears and the events it receives.

aiortc's receiver holds back the last 60 ms of every talkspurt until the next one begins. The caller takes packets
before it, which needs one private name of aiortc (`_handle_rtp_packet`).
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket

from callers.audio_recorder import AudioRecorder
from callers.call_record import CallRecord
from callers.microphone import Microphone
from callers.signaling import Event, NotConnected, Signaling

_CONNECT_TIMEOUT_S = 20.0
_CLOSE_TIMEOUT_S = 5.0
_LOOK_EVERY_S = 0.02

Exchange = Callable[[str], Awaitable[str]]
"""Takes the SDP of an offer, returns that of the answer."""


class Caller:
    """Connects on entering, disconnects on leaving. Entering raises `NotConnected`."""

    def __init__(
        self, signaling_url: str = "", agent_id: str = "", *, exchange: Exchange | None = None, data: bool = True
    ) -> None:
        """`exchange` replaces signaling over `signaling_url`. Without `data` there is no data channel."""
        self._loop = asyncio.get_running_loop()
        self.signaling = Signaling(signaling_url, agent_id, self._on_socket_event)
        self._exchange = exchange or self.signaling.exchange
        self.microphone = Microphone()
        self.record = CallRecord(self._loop.time())
        self.socket_events: list[Event] = []
        """All events of the WebSocket, as received."""
        self.channel_events: list[Event] = []
        """All events of the data channel, as received."""
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel: RTCDataChannel | None = self.pc.createDataChannel("control") if data else None
        self._ready = asyncio.Event()
        self._recorder = AudioRecorder(self.record.heard)

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._connect()
        except OSError as error:
            await self._close()
            reason = str(error) or "no connection in time"
            raise NotConnected(f"no call over {self.signaling.url}: {reason}") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def send(self, **message: Any) -> None:
        """On the data channel. Lost if the call is over."""
        if self.channel is not None and self.channel.readyState == "open":
            self.channel.send(json.dumps(message))

    async def hang_up(self) -> None:
        await self.signaling.hang_up()

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Raises `TimeoutError` if `condition` does not hold in time."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 (a condition may depend on the time that has passed)
                await asyncio.sleep(_LOOK_EVERY_S)

    async def wait_for_status(self, status: str, timeout_s: float = 20.0) -> None:
        """Until the call has had this status."""
        await self.wait_for(lambda: status in self.record.statuses, timeout_s)

    async def _connect(self) -> None:
        self.pc.on("connectionstatechange", self._check_ready)
        if self.channel is not None:
            self.channel.on("open", self._check_ready)
            self.channel.on("message", self._on_channel_message)
        receiver = self.pc.addTransceiver(self.microphone, direction="sendrecv").receiver
        setattr(receiver, "_handle_rtp_packet", self._on_packet)  # noqa: B010 (mypy forbids assigning to a method)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await self._exchange(self.pc.localDescription.sdp)
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await self._ready.wait()
        if self.record.end_reason is not None:
            raise NotConnected(f"the call was over before it began: {self.record.end_reason}")
        if self.pc.connectionState != "connected":
            raise NotConnected(f"the connection was {self.pc.connectionState} before the call began")

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.pc.close()
        await self.signaling.close()

    def _check_ready(self) -> None:
        is_open = self.channel is None or self.channel.readyState == "open"
        if self.pc.connectionState in ("failed", "closed") or (self.pc.connectionState == "connected" and is_open):
            self._ready.set()

    def _on_socket_event(self, event: Event) -> None:
        self.socket_events.append(event)
        if event["type"] not in ("session", "answer"):
            self._take(event)

    def _on_channel_message(self, message: str) -> None:
        event = json.loads(message)
        self.channel_events.append(event)
        self._take(event)

    def _take(self, event: Event) -> None:
        self.record.take(self._loop.time(), event)
        if self.record.end_reason is not None:
            self._ready.set()  # there will be no connection

    async def _on_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self._recorder.take(packet.sequence_number, packet.timestamp, packet.payload, self._loop.time())
