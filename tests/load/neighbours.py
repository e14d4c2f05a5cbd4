"""Callers of the echo agent who send a tone all the time, and note every gap in what comes back of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from callers.recording import QUIET_DBFS
from callers.rtp_caller import RtpCaller
from callers.signaling import Signaling
from media_worker.opus import Decoder
from shared.audio import as_samples, level_dbfs
from tests.integration.neighbour import LoudPacket, Stalls, worst_gap
from tests.load.steal import StealWatch

_PACKET_S = 0.02


class Neighbour:
    def __init__(self, url: str) -> None:
        self._signaling = Signaling(url, "echo", lambda _: None)
        self._caller = RtpCaller()
        self._decoder = Decoder()
        self._timestamp = 0

    async def connect(self) -> None:
        """Raises `NotConnected`, with the server's code if it refuses."""
        await self._caller.connect(self._signaling.exchange)

    def say(self, packet: bytes) -> None:
        self._timestamp += 960
        self._caller.send(packet, self._timestamp)

    def heard(self) -> list[LoudPacket]:
        """The packets with sound since the last time."""
        packets, self._caller.received = self._caller.received, self._caller.received[-1:]
        return [LoudPacket(p.arrived_s, p.timestamp) for p in packets if self._is_loud(p.payload)]

    async def leave(self) -> None:
        await self._signaling.hang_up()
        await self._caller.close()
        await self._signaling.close()

    def _is_loud(self, payload: bytes) -> bool:
        return level_dbfs(as_samples(self._decoder.decode(payload))) > QUIET_DBFS


@asynccontextmanager
async def talking(neighbours: list[Neighbour]) -> AsyncIterator[Stalls]:
    """All who are in the list talk, those who join it later too. Yields the stalls of our own event loop."""
    stalls = Stalls()
    tasks = [asyncio.create_task(stalls.watch()), asyncio.create_task(_talk(neighbours))]
    try:
        yield stalls
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def worst_ms(heard: list[LoudPacket], stalls: Stalls, steal: StealWatch) -> float:
    """A neighbour who hears nothing has the longest gap."""
    return worst_gap(heard, stalls, steal).length_s * 1000 if len(heard) > 1 else 1e6


async def _talk(neighbours: list[Neighbour]) -> None:
    loop = asyncio.get_running_loop()
    packets = _tone_packets()
    began_s, number = loop.time(), 0
    while True:
        for neighbour in neighbours:
            neighbour.say(packets[number % len(packets)])
        number += 1
        await asyncio.sleep(max(0.0, began_s + number * _PACKET_S - loop.time()))


def _tone_packets() -> list[bytes]:
    """A second of a steady tone that joins its own beginning, in 20 ms packets."""
    encoder: AudioCodecContext = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48_000, "mono", "s16", 32_000
    encoder.options = {"application": "voip", "frame_duration": "20"}
    pcm = (8_000 * np.sin(np.arange(96_000) * 2 * np.pi * 440 / 48_000)).astype(np.int16)
    packets: list[bytes] = []
    for start in range(0, len(pcm), 960):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 960], layout="mono")
        frame.sample_rate, frame.pts = 48_000, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets[-50:]
