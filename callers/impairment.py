"""What a bad network does to media, decided packet by packet.

What happens to the n-th RTP packet of a direction depends on the seed and n alone. Everything else passes unharmed, so
that a call always comes about and only its sound suffers.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

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
    delay_ms: float = 0.0
    """Each packet is delayed by this in any case."""


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
        delay_ms = impairment.delay_ms + jitter * impairment.jitter_ms
        delay_ms += held_back_ms if reordered < impairment.reordered else 0.0
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
        if not (self.is_spoiled and is_rtp(datagram)):
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


def is_rtp(datagram: bytes) -> bool:
    """RFC 7983 §7, and RFC 5761 §4 for RTCP."""
    return len(datagram) > 1 and 127 < datagram[0] < 192 and not 192 <= datagram[1] <= 223
