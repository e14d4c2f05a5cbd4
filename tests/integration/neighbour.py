"""The longest gap in what a caller hears of their own steady tone, without the gaps that the test itself causes.

Callers and attackers share one process. While its event loop stands still, the neighbour neither speaks nor notes what
arrives. Other tests share the processors, so a service that has work may have to wait for one. Such stalls are measured
and subtracted, and moments in which the host took the processors away are left out.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from aiortc.rtp import RtpPacket

from callers.caller import Caller
from callers.recording import QUIET_DBFS
from callers.voice import RATE
from media_worker.core.rtp import signed_difference
from media_worker.opus import Decoder
from shared.audio import Pcm, as_samples, level_dbfs
from tests.integration.deployment import Service
from tests.load.steal import StealWatch, waited_for_processor_s, watching

WORST_GAP_S = 0.06
_TONE_S = 120
_PACKET_S = 0.02
_LOOK_EVERY_S = 0.005
_ROUND_TRIP_S = 0.4
"""A stall while the neighbour speaks is heard this much later, at most."""


class LoudPacket(NamedTuple):
    arrived_s: float
    timestamp: int


class Gap(NamedTuple):
    """A silence that ends at `at_s`, of a length that the test itself does not explain."""

    at_s: float
    length_s: float


class Ear:
    """Notes the packets that hold sound."""

    def __init__(self) -> None:
        self.packets: list[LoudPacket] = []
        self._decoder = Decoder()

    def take(self, packet: RtpPacket, arrived_s: float) -> None:
        if level_dbfs(as_samples(self._decoder.decode(packet.payload))) > QUIET_DBFS:
            self.packets.append(LoudPacket(arrived_s, packet.timestamp))


class Stalls:
    """When the event loop stood still, or a service waited for a processor."""

    def __init__(self, services: Collection[Service] = ()) -> None:
        self._services = services
        self._stalls: list[tuple[float, float]] = []

    def add(self, began_s: float, ended_s: float) -> None:
        self._stalls.append((began_s, ended_s))

    def within(self, since_s: float, until_s: float) -> float:
        """Seconds of stall in this time."""
        return sum(max(0.0, min(ended, until_s) - max(began, since_s)) for began, ended in self._stalls)

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        waited_s = self._waited_s()
        while True:
            due_s = loop.time() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            before_s, waited_s = waited_s, self._waited_s()
            stalled_s = max([loop.time() - due_s, *(now - was for was, now in zip(before_s, waited_s, strict=True))])
            if stalled_s > _LOOK_EVERY_S:
                self.add(loop.time() - stalled_s, loop.time())

    def _waited_s(self) -> list[float]:
        return [waited_for_processor_s(service.process.pid) for service in self._services]


def worst_gap(packets: list[LoudPacket], stalls: Stalls, steal: StealWatch) -> Gap:
    """The longest gap between two packets, in their timestamps or in their arrival, whichever is longer."""
    worst = Gap(0.0, 0.0)
    for before, after in pairwise(packets):
        in_stream_s = signed_difference(after.timestamp, before.timestamp, 32) / 48_000
        apart_s = max(in_stream_s, after.arrived_s - before.arrived_s) - _PACKET_S
        length_s = apart_s - stalls.within(before.arrived_s - _ROUND_TRIP_S, after.arrived_s)
        if length_s > worst.length_s and steal.quiet(after.arrived_s):
            worst = Gap(after.arrived_s, length_s)
    return worst


@contextlib.asynccontextmanager
async def talking(caller: Caller, services: Collection[Service]) -> AsyncIterator[None]:
    """The caller of an echo agent of the `services` sends a tone all the time. Fails if they do not hear all of it."""
    loop = asyncio.get_running_loop()
    ear, stalls = Ear(), Stalls(services)
    caller.on_packet = ear.take
    tone = _tone()
    watch = asyncio.create_task(stalls.watch())
    try:
        async with watching() as steal:
            sound = caller.microphone.play(tone)
            await caller.wait_for(lambda: bool(ear.packets))
            yield
            over_s = loop.time()
            await caller.wait_for(lambda: ear.packets[-1].arrived_s > over_s + _ROUND_TRIP_S)
            assert not sound.over.is_set(), "the tone was too short for this test"
    finally:
        watch.cancel()
    gap = worst_gap(ear.packets, stalls, steal)
    assert gap.length_s <= WORST_GAP_S, (
        f"{gap.length_s * 1000:.0f} ms of silence, {over_s - gap.at_s:.1f} s before the end"
    )


@cache
def _tone() -> Pcm:
    return (8_000 * np.sin(np.arange(RATE * _TONE_S) / 20)).astype(np.int16)
