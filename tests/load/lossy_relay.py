"""A bad network on loopback: stands between a caller and the media worker and spoils media, the same way every time.

STUN and DTLS pass unharmed, so that a call always comes about and only its sound suffers.
"""

import asyncio
import socket
from typing import Any

from callers.impairment import Direction, Impairment

_MAX_DATAGRAM = 2_048


class LossyRelay:
    """For one caller, whose answer must go through `rewrite`. Each direction has its own random numbers."""

    def __init__(self, impairment: Impairment, seed: int = 1) -> None:
        self._near, self._far = _socket(), _socket()
        self._caller: Any = None
        self._server: Any = None
        self.is_blocked = False
        """Whether nothing gets through, as if the network were away."""
        self.uplink = Direction(impairment, seed, self._to_server)
        self.downlink = Direction(impairment, seed + 1, self._to_caller)

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._near, self._from_caller)
        loop.add_reader(self._far, self._from_server)

    def close(self) -> None:
        for each in (self._near, self._far):
            asyncio.get_running_loop().remove_reader(each)
            each.close()

    def spoil(self, spoiled: bool) -> None:
        self.uplink.is_spoiled = self.downlink.is_spoiled = spoiled

    def rewrite(self, answer: str) -> str:
        """The answer with the relay's port in its candidates; the server's own are where the relay sends to."""
        lines = answer.split("\r\n")
        hosts = [line.split()[4:6] for line in lines if line.startswith("a=candidate:") and " typ host" in line]
        host, port = next((host, port) for host, port in hosts if ":" not in host)
        self._server = (host, int(port))
        ours = f"a=candidate:1 1 udp 2130706431 127.0.0.1 {self._near.getsockname()[1]} typ host"
        kept = [line for line in lines if not line.startswith("a=candidate:")]
        at = kept.index("a=end-of-candidates")
        return "\r\n".join([*kept[:at], ours, *kept[at:]])

    def _from_caller(self) -> None:
        for datagram, address in _received(self._near):
            self._caller = address
            if not self.is_blocked:
                self.uplink.pass_on(datagram)

    def _from_server(self) -> None:
        for datagram, _ in _received(self._far):
            if not self.is_blocked:
                self.downlink.pass_on(datagram)

    def _to_server(self, datagram: bytes) -> None:
        if self._far.fileno() >= 0:  # a delayed packet may outlive the call
            self._far.sendto(datagram, self._server)

    def _to_caller(self, datagram: bytes) -> None:
        if self._near.fileno() >= 0:
            self._near.sendto(datagram, self._caller)


def _socket() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setblocking(False)
    bound.bind(("127.0.0.1", 0))
    return bound


def _received(own: socket.socket) -> list[tuple[bytes, Any]]:
    datagrams = []
    try:
        while True:
            datagrams.append(own.recvfrom(_MAX_DATAGRAM))
    except (BlockingIOError, ConnectionRefusedError):
        return datagrams
