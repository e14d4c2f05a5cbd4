"""Attacks on a real deployment beside callers who talk: what the callers hear of them, and what is left of them.

The neighbours' process and the attacker's share a core with the broker; services run wherever the kernel puts them.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import av
import numpy as np
import psutil
from av.audio.codeccontext import AudioCodecContext

from callers.recording import QUIET_DBFS
from callers.signaling import Signaling
from media_worker.opus import Decoder
from shared.audio import as_samples, level_dbfs
from shared.io.broker import Redis, connect
from tests.integration.deployment import Deployment, deployed
from tests.integration.neighbour import WORST_GAP_S, LoudPacket, Stalls, worst_gap
from tests.load import stack
from tests.load.attacker import ADDRESS
from tests.load.attacks import ATTACKS
from tests.load.bench_report import BenchReport
from tests.load.rtp_caller import RtpCaller
from tests.load.steal import StealWatch, watching

_NEIGHBOURS = 10
_CAPACITY = 60
_PACKET_S = 0.02
_AFTER_S = 1.0
_FREE_TIMEOUT_S = 6.0
_LAST_TIMEOUT_S = 45.0
"""Half-open sessions that their attacker left standing are gone by then."""
_WARM_UP = ("silent connections (6)", "unknown messages (16)", "data channel")
"""They come twice: what is loaded at first use, and the most that the gateway's connections take, is no leak."""
_MAX_GROWTH_MB = 12.0
_NICE = 10
"""A real attacker has their own processors."""
_SESSION_KEYS = ("antiphon:s:*", "antiphon:jobs:*", "antiphon:{workers}:reserved:*")


class _Slots(NamedTuple):
    media: float
    pipeline: float


class Neighbour:
    """A caller of the echo agent, who sends a tone all the time."""

    def __init__(self, url: str) -> None:
        self._signaling = Signaling(url, "echo", lambda _: None)
        self._caller = RtpCaller()
        self._decoder = Decoder()
        self._timestamp = 0

    async def connect(self) -> None:
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


def run(report: BenchReport) -> None:
    with stack.running_broker() as (url, _):
        asyncio.run(_run(report, url))


async def _run(report: BenchReport, url: str) -> None:
    settings = {"ANTIPHON_MEDIA_CAPACITY": str(_CAPACITY), "ANTIPHON_PIPELINE_CAPACITY": str(_CAPACITY)}
    client = connect(url)
    async with deployed(url, **settings) as deployment, watching() as steal, _attacker(deployment) as attacker:
        neighbours = [Neighbour(deployment.signaling_url) for _ in range(_NEIGHBOURS)]
        for neighbour in neighbours:
            await neighbour.connect()
        async with _talking(neighbours) as stalls:
            for name in _WARM_UP:
                await _attack(attacker, name)
            await asyncio.sleep(_AFTER_S)
            before, used = _memory_mb(deployment), await _slots(deployment)
            for neighbour in neighbours:
                neighbour.heard()
            for name, attack in ATTACKS.items():
                outcome = await _attack(attacker, name)
                await asyncio.sleep(_AFTER_S)
                worst_ms = max(_worst_ms(neighbour.heard(), stalls, steal) for neighbour in neighbours)
                lost = await _lost(deployment, used, _FREE_TIMEOUT_S)
                report.add(attack=name, sent=f"{outcome['sent']} {attack.unit}", answered=outcome["answered"],
                           worst_gap_ms=worst_ms, slots_lost=lost)  # fmt: skip
                report.bar(f"worst gap of a neighbour in ms: {name}", worst_ms, WORST_GAP_S * 1000, "lower")
            lost = await _lost(deployment, used, _LAST_TIMEOUT_S)
            report.bar("slots lost at the end", lost, 0, "lower")
            for name, growth_mb in _growth(before, _memory_mb(deployment)):
                report.add(attack=f"memory of the {name}: MB more", worst_gap_ms=growth_mb)
                report.bar(f"MB that the {name} has grown by", growth_mb, _MAX_GROWTH_MB, "lower")
        for neighbour in neighbours:
            await neighbour.leave()
        report.bar("keys of sessions left", await _keys_left(client), 0, "lower")
    await client.aclose()


@asynccontextmanager
async def _attacker(deployment: Deployment) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.load.attacker", "127.0.0.1", str(deployment.port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: os.nice(_NICE) and None,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def _attack(attacker: asyncio.subprocess.Process, name: str) -> dict[str, Any]:
    assert attacker.stdin is not None and attacker.stdout is not None
    attacker.stdin.write(f"{name}\n".encode())
    line = await attacker.stdout.readline()
    if not line:
        raise RuntimeError(f"the attacker at {ADDRESS} has ended")
    outcome: dict[str, Any] = json.loads(line)
    print(f"{name}: {outcome}", file=sys.stderr)
    return outcome


@asynccontextmanager
async def _talking(neighbours: list[Neighbour]) -> AsyncIterator[Stalls]:
    """All neighbours talk. Yields the stalls of our own event loop."""
    stalls = Stalls()
    tasks = [asyncio.create_task(stalls.watch()), asyncio.create_task(_talk(neighbours))]
    try:
        yield stalls
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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


def _worst_ms(heard: list[LoudPacket], stalls: Stalls, steal: StealWatch) -> float:
    """A neighbour who hears nothing has the longest gap."""
    return worst_gap(heard, stalls, steal).length_s * 1000 if len(heard) > 1 else 1e6


async def _slots(deployment: Deployment) -> _Slots:
    media = await asyncio.to_thread(deployment.media.metric, "antiphon_media_sessions")
    pipeline = await asyncio.to_thread(deployment.pipeline.metric, "antiphon_pipeline_sessions")
    return _Slots(media, pipeline)


async def _lost(deployment: Deployment, before: _Slots, timeout_s: float) -> int:
    """The slots of both workers that are still taken after this time; a neighbour who was cut off counts too."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while await _slots(deployment) != before:  # noqa: ASYNC110 (another process has no event)
                await asyncio.sleep(0.2)
    now = await _slots(deployment)
    return round(abs(now.media - before.media) + abs(now.pipeline - before.pipeline))


def _memory_mb(deployment: Deployment) -> dict[str, float]:
    names = ("gateway", "media worker", "pipeline worker")
    processes = [psutil.Process(service.process.pid) for service in deployment.services]
    return {name: process.memory_info().rss / (1 << 20) for name, process in zip(names, processes, strict=True)}


def _growth(before: dict[str, float], after: dict[str, float]) -> Iterable[tuple[str, float]]:
    return [(name, after[name] - before[name]) for name in before]


async def _keys_left(client: Redis) -> int:
    await asyncio.sleep(_AFTER_S)
    return sum([len(await client.keys(pattern)) for pattern in _SESSION_KEYS])
