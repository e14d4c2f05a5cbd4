"""Many callers in one process, who send packets from one shared clock.

Packets are encoded beforehand, and received ones are counted and dropped, so one core of callers can load more than one
core of any server. The swarm reports how much of its core it used.
"""

import asyncio
import functools
import gc
import json
import time
from collections.abc import Awaitable, Callable

import psutil

from callers.rtp_caller import RtpCaller
from media_worker.core.rtp import is_rtcp

Exchange = Callable[[int, str], Awaitable[str]]
"""(index of the caller, offer) -> answer."""

_SLOT_S = 0.005
_SLOTS = 4
_JOIN_TOGETHER = 8


class SwarmCaller(RtpCaller):
    """One that is recorded keeps what it sends and receives, with monotonic times."""

    def __init__(self, index: int, packets: list[bytes], recorded: bool, channel: bool) -> None:
        """Callers begin at different places of `packets`, except those that are recorded."""
        super().__init__(channel)
        self._packets = packets
        self._position = 0 if recorded else index * 37 % len(packets)
        self._timestamp = index * 1000
        self._seq = index * 7 & 0xFFFF
        self._recorded = recorded
        self.received_packets = 0
        self.worst_gap_s = 0.0
        """The longest time without a packet while all talk."""
        self._last_packet_s = 0.0
        self.sent_s: list[float] = []
        self._heard: list[tuple[float, bytes]] = []

    def begin(self) -> None:
        """Count from now on."""
        self.received_packets, self.worst_gap_s, self._last_packet_s = 0, 0.0, time.monotonic()

    def end(self) -> None:
        """The silence up to now is a gap like others."""
        self.worst_gap_s = max(self.worst_gap_s, time.monotonic() - self._last_packet_s)

    def send_next(self) -> None:
        if self._recorded:
            self.sent_s.append(time.monotonic())
        payload = self._packets[self._position]
        self._position = (self._position + 1) % len(self._packets)
        self._timestamp += 960
        self.send(payload, self._timestamp)

    def heard_rtp(self) -> list[tuple[float, bytes]]:
        """(arrival, decrypted packet) of all RTP packets that were recorded."""
        return [(at, self._dtls._rx_srtp.unprotect(data)) for at, data in self._heard if not is_rtcp(data[1])]

    def _on_datagram(self, datagram: bytes, component: int) -> None:
        if 127 < datagram[0] < 192:
            self.received_packets += 1
            now_s = time.monotonic()
            self.worst_gap_s = max(self.worst_gap_s, now_s - self._last_packet_s)
            self._last_packet_s = now_s
            if self._recorded:
                self._heard.append((now_s, datagram))
        else:
            self._pass_on(datagram, component)


class Swarm:
    """`join` callers, then `talk`."""

    def __init__(self, exchange: Exchange, packets: list[bytes], recorded: int = 0, channels: bool = False) -> None:
        """The first `recorded` callers are recorded. With `channels`, each has a data channel, as a page has."""
        self._exchange = exchange
        self._packets = packets
        self._recorded = recorded
        self._channels = channels
        self.callers: list[SwarmCaller] = []

    async def join(self, count: int) -> None:
        first = len(self.callers)
        for start in range(first, first + count, _JOIN_TOGETHER):
            batch = range(start, min(first + count, start + _JOIN_TOGETHER))
            self.callers += await asyncio.gather(*(self._connect(index) for index in batch))
        gc.collect()
        gc.freeze()

    async def talk(self, duration_s: float) -> dict[str, float]:
        """All callers talk. Returns the share of its core that the swarm used, its lateness, and packets per second and
        caller."""
        loop = asyncio.get_running_loop()
        groups = [self.callers[slot::_SLOTS] for slot in range(_SLOTS)]
        for caller in self.callers:
            caller.begin()
        cpu, began, slot, sent, worst_late_s = time.process_time(), loop.time(), 0, 0, 0.0
        while loop.time() < began + duration_s:
            for caller in groups[slot % _SLOTS]:
                caller.send_next()
                sent += 1
            slot += 1
            late_s = loop.time() - began - slot * _SLOT_S
            worst_late_s = max(worst_late_s, late_s)
            await asyncio.sleep(max(0.0, -late_s))
        elapsed = loop.time() - began
        for caller in self.callers:
            caller.end()
        return {
            "swarm_core_share": (time.process_time() - cpu) / elapsed,
            "worst_late_s": worst_late_s,
            "sent_per_s": sent / elapsed / max(1, len(self.callers)),
            "received_per_s": sum(c.received_packets for c in self.callers) / elapsed / max(1, len(self.callers)),
        }

    async def leave(self) -> None:
        for start in range(0, len(self.callers), _JOIN_TOGETHER):
            await asyncio.gather(*(caller.close() for caller in self.callers[start : start + _JOIN_TOGETHER]))
        self.callers.clear()

    async def _connect(self, index: int) -> SwarmCaller:
        caller = SwarmCaller(index, self._packets, index < self._recorded, self._channels)
        await caller.connect(functools.partial(self._exchange, index))
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
