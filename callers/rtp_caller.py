"""A cheap caller at the level of RTP: aiortc does ICE, DTLS and SRTP, and packets bypass the rest of it both ways.

`callers.caller.Caller` takes 5 % of a core, mostly in aiortc's encoder and sender; this one takes about 1 % with speech
that it encodes itself, so that many of them do not slow down what they measure.
"""

import asyncio
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import pylibsrtp
from aiortc import MediaStreamTrack, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame

from callers.impairment import is_rtp
from callers.peer import Exchange
from callers.signaling import NotConnected
from media_worker.core.rtp import parse_header

_pack = struct.Struct("!BBHII").pack
_CONNECT_TIMEOUT_S = 30


class Received(NamedTuple):
    """An RTP packet of the server. `timestamp` counts 48 kHz samples."""

    arrived_s: float
    seq: int
    timestamp: int
    payload: bytes


class SetUp(NamedTuple):
    """When each stage of a set-up was over, on the monotonic clock."""

    began_s: float
    offered_s: float = 0.0
    """The offer was ready; then it was sent."""
    answered_s: float = 0.0
    described_s: float = 0.0
    """The answer was applied; then ICE began."""
    checked_s: float = 0.0
    """ICE had a path; then DTLS began."""
    secured_s: float = 0.0
    """DTLS was done: sound can flow."""


class _Idle(MediaStreamTrack):
    """Without a track, aiortc's sender would poll for one."""

    kind = "audio"

    async def recv(self) -> AudioFrame:
        await asyncio.Event().wait()
        raise AssertionError("an idle track has no frame")


class RtpCaller:
    """`connect`, then `send` and read `received`, then `close`."""

    def __init__(self, channel: bool = False, ice_servers: Sequence[RTCIceServer] = ()) -> None:
        """With `channel`, there is a data channel, and `connect` waits until it is open."""
        self.received: list[Received] = []
        self.heard_s = 0.0
        """When the last packet came (monotonic)."""
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self._channel = self._pc.createDataChannel("control") if channel else None
        self._dtls: Any = None
        self._pair: Any = None
        self._pass_on: Any = None
        self._ssrc = 0
        self._payload_type = 0
        self._seq = 0
        self._ready: asyncio.Event | None = None
        self.set_up = SetUp(0.0)

    async def connect(self, exchange: Exchange) -> None:
        """Raises `NotConnected` if the connection fails, and `TimeoutError`."""
        ready = asyncio.Event()
        self._ready = ready

        def check() -> None:
            state = self._pc.connectionState
            if state == "connected" and self._pair is None:
                self.set_up = self.set_up._replace(secured_s=time.monotonic())
                self._tap(sender)
            is_open = self._channel is None or self._channel.readyState == "open"
            if state in ("failed", "closed") or (state == "connected" and is_open):
                ready.set()

        def check_ice() -> None:
            if self._pc.iceConnectionState == "completed" and not self.set_up.checked_s:
                self.set_up = self.set_up._replace(checked_s=time.monotonic())

        self.set_up = SetUp(time.monotonic())
        self._pc.on("connectionstatechange", check)
        self._pc.on("iceconnectionstatechange", check_ice)
        if self._channel is not None:
            self._channel.on("open", check)
        sender = self._pc.addTrack(_Idle())
        await self._pc.setLocalDescription(await self._pc.createOffer())
        self.set_up = self.set_up._replace(offered_s=time.monotonic())
        answer = await exchange(self._pc.localDescription.sdp)
        self.set_up = self.set_up._replace(answered_s=time.monotonic())
        self._ssrc = sender._ssrc
        self._payload_type = int(answer.partition("m=audio ")[2].split("\r\n")[0].split()[2])
        await self._pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        self.set_up = self.set_up._replace(described_s=time.monotonic())
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await ready.wait()
        if not self.is_connected:
            failed = "dtls_failed" if self.set_up.checked_s else "ice_failed"
            raise NotConnected(f"the connection was {self._pc.connectionState} before the call began", code=failed)

    def give_up(self) -> None:
        """There will be no connection: `connect` need not wait for it."""
        if self._ready is not None:
            self._ready.set()

    def _tap(self, sender: Any) -> None:
        self._dtls = sender.transport
        connection = self._dtls.transport._connection
        self._pair = connection._nominated[1]
        self._pass_on = connection.data_received
        connection.data_received = self._on_datagram  # there is no public way to tap

    @property
    def is_connected(self) -> bool:
        """False once the server or this side has closed the connection."""
        if self._pair is None:
            return False
        is_closing = getattr(self._pair.protocol.transport, "is_closing", None)  # a TURN transport has none
        return self._pc.connectionState == "connected" if is_closing is None else not is_closing()

    def send(self, payload: bytes, timestamp: int, marker: bool = False) -> None:
        """The next packet of our stream."""
        self._seq = (self._seq + 1) & 0xFFFF
        header = _pack(0x80, self._payload_type | marker << 7, self._seq, timestamp & 0xFFFFFFFF, self._ssrc)
        self._transmit(self._dtls._tx_srtp.protect(header + payload))

    async def close(self) -> None:
        await self._pc.close()

    def _transmit(self, datagram: bytes) -> None:
        self._pair.protocol.transport.sendto(datagram, self._pair.remote_addr)

    def _on_datagram(self, datagram: bytes, component: int) -> None:
        self.heard_s = time.monotonic()
        if is_rtp(datagram):
            packet = self._decrypted(datagram, self.heard_s)
            if packet is not None:
                self.received.append(packet)
        else:
            self._pass_on(datagram, component)

    def _decrypted(self, datagram: bytes, arrived_s: float) -> Received | None:
        """None for a duplicate."""
        try:
            packet = self._dtls._rx_srtp.unprotect(datagram)
        except pylibsrtp.Error:
            return None
        header = parse_header(packet)
        assert header is not None
        return Received(arrived_s, header.seq, header.timestamp, packet[header.payload_start : header.payload_end])
