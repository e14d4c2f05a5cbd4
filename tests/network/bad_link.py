"""A bad link in userspace, for kernels without netem: carries packets between two interfaces, late or not at all."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial

from callers.impairment import Fates, Impairment
from tests.network.namespace import Namespace

_ALL_PROTOCOLS = 3  # ETH_P_ALL
_PACKET_LEVEL = 263  # SOL_PACKET
_WITH_OFFLOAD_HEADER = 15  # PACKET_VNET_HDR: between namespaces, the kernel leaves checksums to be filled in later
_MAX_PACKET = 1 << 17
_ARP = b"\x08\x06"
_OFFLOAD_HEADER_SIZE = 10
_PROTOCOL = slice(_OFFLOAD_HEADER_SIZE + 12, _OFFLOAD_HEADER_SIZE + 14)


_BEHIND_S = 1e-5


class _Direction:
    """Takes what arrives at `source`. Keeps the order of packets, as queues do: a late one holds up those behind it."""

    def __init__(self, source: socket.socket, target: socket.socket, fates: Fates, delay_ms: float) -> None:
        self._source, self._target, self._fates, self._delay_ms = source, target, fates, delay_ms
        self._free_at_s = 0.0
        self.packets = self.lost = 0

    def carry(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, address = self._source.recvfrom(_MAX_PACKET)
                if address[2] == socket.PACKET_OUTGOING:
                    continue
                is_arp = packet[_PROTOCOL] == _ARP
                delays_ms = [0.0] if is_arp else self._fates.next()
                self.packets += 1
                self.lost += not delays_ms
                for delay_ms in delays_ms:
                    due_s = loop.time() + (self._delay_ms + delay_ms) / 1000
                    self._free_at_s = max(due_s, self._free_at_s + _BEHIND_S)
                    loop.call_at(self._free_at_s, partial(self._send, packet))

    def _send(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # the call is over, or the link is full
            self._target.send(packet)


class BadLink:
    def __init__(self, up: _Direction, down: _Direction) -> None:
        self._directions = up, down

    @property
    def lost_share(self) -> float:
        return sum(each.lost for each in self._directions) / max(1, sum(each.packets for each in self._directions))


@contextlib.contextmanager
def bad_link(middle: Namespace, impairment: Impairment, delay_ms: float) -> Iterator[BadLink]:
    """Connects `inside` and `outside`. Each packet is `delay_ms` late, and more with jitter, in each direction."""
    loop = asyncio.get_running_loop()
    with middle, _listening("inside") as inside, _listening("outside") as outside:
        up = _Direction(inside, outside, Fates(impairment, 1), delay_ms)
        down = _Direction(outside, inside, Fates(impairment, 2), delay_ms)
        loop.add_reader(inside, up.carry)
        loop.add_reader(outside, down.carry)
        try:
            yield BadLink(up, down)
        finally:
            loop.remove_reader(inside)
            loop.remove_reader(outside)


def _listening(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
    opened.setblocking(False)
    opened.setsockopt(_PACKET_LEVEL, _WITH_OFFLOAD_HEADER, 1)
    opened.bind((interface, 0))
    return opened
