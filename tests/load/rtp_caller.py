"""A caller at the level of RTP: real ICE, DTLS and SRTP by aiortc, then packets as they are, both ways."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pylibsrtp
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from media_worker.core.rtp import is_rtcp, parse_header

_pack = struct.Struct("!BBHII").pack
_CONNECT_TIMEOUT_S = 30


class Received(NamedTuple):
    """An RTP packet of the server's; `timestamp` counts 48 kHz samples."""

    arrived_s: float
    seq: int
    timestamp: int
    payload: bytes


class RtpCaller:
    """`connect`, then `send` and look into `received`, then `close`."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._dtls: Any = None
        self._pair: Any = None
        self._ssrc = 0
        self._payload_type = 0
        self._seq = 0

    async def connect(self, exchange: Callable[[str], Awaitable[str]]) -> None:
        """`exchange` takes the offer's SDP and returns the answer's."""
        connected = asyncio.Event()
        self._pc.on("connectionstatechange", lambda: connected.set() if self._is_connected() else None)
        sender = self._pc.addTransceiver("audio").sender
        await self._pc.setLocalDescription(await self._pc.createOffer())
        answer = await exchange(self._pc.localDescription.sdp)
        await self._pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await connected.wait()
        self._dtls = sender.transport
        self._ssrc = sender._ssrc
        self._payload_type = int(answer.partition("m=audio ")[2].split("\r\n")[0].split()[2])
        connection = self._dtls.transport._connection
        self._pair = connection._nominated[1]
        pass_on = connection.data_received

        def tap(datagram: bytes, component: int) -> None:
            if 127 < datagram[0] < 192 and not is_rtcp(datagram[1]):
                self._on_rtp(datagram)
            else:
                pass_on(datagram, component)

        connection.data_received = tap

    def send(self, payload: bytes, timestamp: int, marker: bool = False) -> None:
        """The next packet of our stream."""
        self._seq = (self._seq + 1) & 0xFFFF
        header = _pack(0x80, self._payload_type | marker << 7, self._seq, timestamp & 0xFFFFFFFF, self._ssrc)
        self._pair.protocol.transport.sendto(self._dtls._tx_srtp.protect(header + payload), self._pair.remote_addr)

    async def close(self) -> None:
        await self._pc.close()

    def _is_connected(self) -> bool:
        return bool(self._pc.connectionState == "connected")

    def _on_rtp(self, datagram: bytes) -> None:
        try:
            packet = self._dtls._rx_srtp.unprotect(datagram)
        except pylibsrtp.Error:
            return  # a duplicate
        header = parse_header(packet)
        assert header is not None
        now = time.monotonic()
        payload = packet[header.payload_start : header.payload_end]
        self.received.append(Received(now, header.seq, header.timestamp, payload))
