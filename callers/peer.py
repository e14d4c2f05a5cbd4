"""One peer connection of a caller, on aiortc.

aiortc's receiver holds back the last 60 ms of every talkspurt until the next one begins. The caller takes packets
before it, which needs one private name of aiortc (`_handle_rtp_packet`). Another one tells when anything came at all.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket

from callers.microphone import Microphone
from callers.signaling import NotConnected

_CLOSE_TIMEOUT_S = 5.0

Exchange = Callable[[str], Awaitable[str]]
"""Takes the SDP of an offer, returns that of the answer."""


class Peer:
    """`connect`, then `close`, even if it could not connect."""

    def __init__(
        self,
        on_packet: Callable[[RtpPacket], None],
        on_message: Callable[[str], None],
        data: bool = True,
        ice_servers: Sequence[RTCIceServer] = (),
    ) -> None:
        """Without `data` there is no data channel."""
        self._loop = asyncio.get_running_loop()
        self._on_packet = on_packet
        self._on_message = on_message
        self._ready = asyncio.Event()
        self._heard_s = self._loop.time()
        self._sender: Any = None
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self.channel: RTCDataChannel | None = self.pc.createDataChannel("control") if data else None

    @property
    def silent_s(self) -> float:
        """How long no datagram has come, not even the answer to a consent check."""
        return self._loop.time() - self._heard_s

    async def connect(self, exchange: Exchange, microphone: Microphone | None = None) -> None:
        """Raises `NotConnected`."""
        self.pc.on("connectionstatechange", self._check_ready)
        if self.channel is not None:
            self.channel.on("open", self._check_ready)
            self.channel.on("message", self._on_message)
        transceiver = self.pc.addTransceiver(microphone or "audio", direction="sendrecv")
        self._sender = transceiver.sender
        setattr(transceiver.receiver, "_handle_rtp_packet", self._take)  # noqa: B010 (mypy forbids assigning to a method)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await exchange(self.pc.localDescription.sdp)
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await self._ready.wait()
        if self.pc.connectionState != "connected":
            raise NotConnected(f"the connection was {self.pc.connectionState} before the call began")
        self._watch()

    def give_up(self) -> None:
        """There will be no connection: `connect` need not wait for it."""
        self._ready.set()

    def speak_into(self, microphone: Microphone | None) -> None:
        """Send this microphone from now on, or nothing."""
        self._sender.replaceTrack(microphone)

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.pc.close()

    def _check_ready(self) -> None:
        is_open = self.channel is None or self.channel.readyState == "open"
        if self.pc.connectionState in ("failed", "closed") or (self.pc.connectionState == "connected" and is_open):
            self._ready.set()

    def _watch(self) -> None:
        """Notice every datagram, answers to consent checks included."""
        protocol = self._sender.transport.transport._connection._nominated[1].protocol
        pass_on = protocol.datagram_received

        def received(data: bytes, address: tuple[str, int]) -> None:
            self._heard_s = self._loop.time()
            pass_on(data, address)

        protocol.datagram_received = received
        self._heard_s = self._loop.time()

    async def _take(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        self._on_packet(packet)
