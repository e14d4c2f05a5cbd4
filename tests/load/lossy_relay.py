"""A bad network on loopback: stands between a caller and the media worker and spoils media, the same way every time.

STUN and DTLS pass unharmed, so that a call always comes about and only its sound suffers. What happens to the n-th
RTP packet of a direction depends on the seed and n alone.
"""

import asyncio
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_MAX_DATAGRAM = 2_048
_BURST_LENGTHS = (3, 4, 5)
_HELD_BACK_MS = (25.0, 35.0)
"""More than a packet's 20 ms, so that the next one overtakes."""


@dataclass(frozen=True)
class Impairment:
    """What a network does to media. Shares are of the packets."""

    loss: float = 0.0
    burst_loss: float = 0.0
    """Lost in runs of 3 to 5 (a Gilbert model with these run lengths)."""
    jitter_ms: float = 0.0
    """Each packet is delayed by its own, evenly distributed part of this."""
    reordered: float = 0.0
    duplicated: float = 0.0
    loses_one: bool = False
    """A single packet."""


class Fates:
    """Decides the fate of one packet after another."""

    def __init__(self, impairment: Impairment, seed: int) -> None:
        self._impairment = impairment
        self._random = random.Random(seed)
        self._burst_left = 0
        self._lost_one = False

    def next(self) -> list[float]:
        """Delays in milliseconds of the packet's copies: empty if it is lost."""
        impairment, draw = self._impairment, self._random.random
        # Every packet draws the same numbers, so that one kind of harm does not shift the random numbers of another.
        lost, burst, jitter, reordered, duplicated = draw(), draw(), draw(), draw(), draw()
        length, held_back_ms = self._random.choice(_BURST_LENGTHS), self._random.uniform(*_HELD_BACK_MS)
        if self._in_burst(burst, length) or lost < impairment.loss or self._is_the_one():
            return []
        delay_ms = jitter * impairment.jitter_ms + (held_back_ms if reordered < impairment.reordered else 0.0)
        return [delay_ms, delay_ms + 1.0] if duplicated < impairment.duplicated else [delay_ms]

    def _in_burst(self, draw: float, length: int) -> bool:
        if not self._burst_left:
            share = self._impairment.burst_loss
            mean = sum(_BURST_LENGTHS) / len(_BURST_LENGTHS)
            if draw >= share / (mean * (1 - share)):
                return False
            self._burst_left = length
        self._burst_left -= 1
        return True

    def _is_the_one(self) -> bool:
        is_it = self._impairment.loses_one and not self._lost_one
        self._lost_one = True
        return is_it


class Direction:
    """The packets of one direction, and their harm."""

    def __init__(self, impairment: Impairment, seed: int, send: Callable[[bytes], None]) -> None:
        self._fates = Fates(impairment, seed)
        self._send = send
        self.is_spoiled = False
        """Whether media suffers now."""
        self.packets = 0
        """RTP packets that came while it suffered, and those of them that were lost."""
        self.lost = 0

    def pass_on(self, datagram: bytes) -> None:
        if not (self.is_spoiled and _is_rtp(datagram)):
            self._send(datagram)
            return
        delays_ms = self._fates.next()
        self.packets += 1
        self.lost += not delays_ms
        for delay_ms in delays_ms:
            if delay_ms:
                asyncio.get_running_loop().call_later(delay_ms / 1000, self._send, datagram)
            else:
                self._send(datagram)


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


def _is_rtp(datagram: bytes) -> bool:
    """RFC 7983 §7, and RFC 5761 §4 for RTCP."""
    return len(datagram) > 1 and 127 < datagram[0] < 192 and not 192 <= datagram[1] <= 223
