"""Many callers in one process: real ICE, DTLS and SRTP by aiortc, then packets from one shared clock.

A caller's own media path is cut to the bone (packets are encoded beforehand, received ones are counted and dropped),
so that one core of callers loads more than one core of any server; how much of its core it used is reported.
"""

import asyncio
import gc
import json
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import psutil
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame

Exchange = Callable[[int, str], Awaitable[str]]
"""(index of the caller, offer) -> answer."""

_pack = struct.Struct("!BBHII").pack
_SLOT_S = 0.005
_SLOTS = 4
_JOIN_TOGETHER = 8


class _Idle(MediaStreamTrack):
    kind = "audio"

    async def recv(self) -> AudioFrame:
        await asyncio.Event().wait()
        raise AssertionError("an idle track has no frame")


@dataclass
class Caller:
    """What was sent and received, with monotonic times, is kept for callers that are recorded."""

    pc: RTCPeerConnection
    protect: Callable[[bytes], bytes]
    unprotect: Callable[[bytes], bytes]
    transport: Any
    address: Any
    ssrc: int
    payload_type: int
    seq: int
    timestamp: int
    position: int
    recorded: bool
    received: int = 0
    sent_s: list[float] = field(default_factory=list)
    heard: list[tuple[float, bytes]] = field(default_factory=list)

    def heard_rtp(self) -> list[tuple[float, bytes]]:
        """(arrival, decrypted packet) of all RTP that came while recording."""
        return [(at, self.unprotect(data)) for at, data in self.heard if not 192 <= data[1] <= 223]


class Swarm:
    """`join` callers, then `talk`."""

    def __init__(self, exchange: Exchange, packets: list[bytes], recorded: int = 0, channels: bool = False) -> None:
        """The first `recorded` callers are recorded. `channels`: each has a data channel, as a page has."""
        self._exchange = exchange
        self._packets = packets
        self._recorded = recorded
        self._channels = channels
        self.callers: list[Caller] = []

    async def join(self, count: int) -> None:
        first = len(self.callers)
        for start in range(first, first + count, _JOIN_TOGETHER):
            batch = range(start, min(first + count, start + _JOIN_TOGETHER))
            self.callers += await asyncio.gather(*(self._connect(index) for index in batch))
        gc.collect()
        gc.freeze()

    async def talk(self, duration_s: float) -> dict[str, float]:
        """Everybody talks. Returns the share of its core that the swarm used, and each caller's packets per second."""
        loop = asyncio.get_running_loop()
        groups = [self.callers[slot::_SLOTS] for slot in range(_SLOTS)]
        for caller in self.callers:
            caller.received = 0
        cpu, began, slot, sent = time.process_time(), loop.time(), 0, 0
        while loop.time() < began + duration_s:
            for caller in groups[slot % _SLOTS]:
                self._send(caller)
                sent += 1
            slot += 1
            await asyncio.sleep(max(0.0, began + slot * _SLOT_S - loop.time()))
        elapsed = loop.time() - began
        return {
            "swarm_core_share": (time.process_time() - cpu) / elapsed,
            "sent_per_s": sent / elapsed / max(1, len(self.callers)),
            "received_per_s": sum(c.received for c in self.callers) / elapsed / max(1, len(self.callers)),
        }

    async def leave(self) -> None:
        for start in range(0, len(self.callers), _JOIN_TOGETHER):
            await asyncio.gather(*(caller.pc.close() for caller in self.callers[start : start + _JOIN_TOGETHER]))
        self.callers.clear()

    def _send(self, caller: Caller) -> None:
        if caller.recorded:
            caller.sent_s.append(time.monotonic())
        payload = self._packets[caller.position]
        caller.position = (caller.position + 1) % len(self._packets)
        caller.seq = (caller.seq + 1) & 0xFFFF
        caller.timestamp = (caller.timestamp + 960) & 0xFFFFFFFF
        header = _pack(0x80, caller.payload_type, caller.seq, caller.timestamp, caller.ssrc)
        caller.transport.sendto(caller.protect(header + payload), caller.address)

    async def _connect(self, index: int) -> Caller:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connected = asyncio.Event()
        pc.on("connectionstatechange", lambda: connected.set() if pc.connectionState == "connected" else None)
        sender = pc.addTrack(_Idle())
        channel_open = asyncio.Event()
        if self._channels:
            pc.createDataChannel("control").on("open", channel_open.set)
        else:
            channel_open.set()
        await pc.setLocalDescription(await pc.createOffer())
        answer = await self._exchange(index, pc.localDescription.sdp)
        await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(30):
            await connected.wait()
            await channel_open.wait()
        dtls = sender.transport
        connection = dtls.transport._connection
        pair = connection._nominated[1]
        payload_type = int(answer.partition("m=audio ")[2].split("\r\n")[0].split()[2])
        caller = Caller(
            pc,
            dtls._tx_srtp.protect,
            dtls._rx_srtp.unprotect,
            pair.protocol.transport,
            pair.remote_addr,
            sender._ssrc,
            payload_type,
            index * 7 & 0xFFFF,
            index * 1000,
            0 if index < self._recorded else index * 37 % len(self._packets),
            index < self._recorded,
        )
        receive = connection.data_received

        def count(data: bytes, component: int) -> None:
            if 127 < data[0] < 192:
                caller.received += 1
                if caller.recorded:
                    caller.heard.append((time.monotonic(), data))
            else:
                receive(data, component)

        connection.data_received = count  # type: ignore[method-assign]  # there is no public way to tap
        return caller


async def line_exchange(port: int, sdp: str) -> str:
    """Signaling of the peer programs: one JSON line each way on a TCP connection to loopback."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        writer.write(json.dumps({"sdp": sdp}).encode() + b"\n")
        return str(json.loads(await reader.readline())["sdp"])
    finally:
        writer.close()


def process_cpu_s(pid: int) -> float:
    """User and system time of a process, with all its threads."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
