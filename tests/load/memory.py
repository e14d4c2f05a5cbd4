"""Memory of a session (with its data channel) in the media worker, and whether a thousand of them leave anything."""

import asyncio
import os
import time
import urllib.request
from typing import NamedTuple

import psutil

from shared.io import broker
from tests.fakes.ports import free_port
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.load_speech import browser_packets
from tests.load.swarm import Swarm

_SESSIONS = 200
_OPENED_AND_CLOSED = 1_000
_TOGETHER = 20
_TALK_S = 3.0
_QUIET_TIMEOUT_S = 30.0
_MAX_MB_PER_SESSION = 0.5
_MAX_GROWTH_MB = 8.0
"""What an allocator keeps for itself; a leak of 8 kB per session would exceed it."""


class _Footprint(NamedTuple):
    rss_mb: float
    tasks: float
    files: int
    threads: int
    keys: int


def run(report: BenchReport) -> None:
    os.sched_setaffinity(0, {stack.LOAD_CORE})
    asyncio.run(_run(report))


async def _run(report: BenchReport) -> None:
    packets = await asyncio.to_thread(browser_packets, False)
    port = free_port()
    with stack.running_broker() as (url, _):
        settings = {
            "ANTIPHON_REDIS_URL": url,
            "ANTIPHON_PUBLIC_IPS": "127.0.0.1",
            "ANTIPHON_MEDIA_CAPACITY": "1000",
            "ANTIPHON_PROBE_PORT": str(port),
            "ANTIPHON_LOG_LEVEL": "warning",
        }
        with (
            stack.running("media_worker", stack.SERVER_CORE, **settings) as media,
            stack.running("tests.load.talker", stack.LOAD_CORE, ANTIPHON_REDIS_URL=url, TALK_SHARE="0.1") as talker,
        ):
            assert talker.stdout is not None
            async with stack.direct_signaling(url, talker.stdout.readline().strip()) as signaling:
                client = broker.connect(url)

                async def footprint() -> _Footprint:
                    return await _footprint(media.pid, port, client)

                async def open_and_close(sessions: int) -> _Footprint:
                    swarm = Swarm(signaling.exchange, packets, channels=True)
                    await swarm.join(sessions)
                    await swarm.talk(_TALK_S)
                    full = await footprint()
                    signaling.hang_up()
                    await swarm.leave()
                    await _quiet(port)
                    return full

                await open_and_close(_TOGETHER)  # what is loaded or allocated once
                empty = await footprint()
                full = await open_and_close(_SESSIONS)
                before = await footprint()
                _row(report, "empty", empty)
                _row(report, f"{_SESSIONS} sessions", full)
                _row(report, "all closed", before)
                for _ in range(_OPENED_AND_CLOSED // _TOGETHER):
                    swarm = Swarm(signaling.exchange, packets, channels=True)
                    await swarm.join(_TOGETHER)
                    signaling.hang_up()
                    await swarm.leave()
                await _quiet(port)
                after = await footprint()
                _row(report, f"after {_OPENED_AND_CLOSED} more", after)
                await client.aclose()
    report.bar("MB per session", (full.rss_mb - empty.rss_mb) / _SESSIONS, _MAX_MB_PER_SESSION, "lower")
    report.bar(f"MB grown over {_OPENED_AND_CLOSED} sessions", after.rss_mb - before.rss_mb, _MAX_GROWTH_MB, "lower")
    report.bar("tasks left", after.tasks - empty.tasks, 0, "lower")
    report.bar("files left", after.files - empty.files, 0, "lower")
    report.bar("threads left", after.threads - empty.threads, 0, "lower")
    report.bar("Redis keys left", after.keys - empty.keys, 0, "lower")


def _row(report: BenchReport, when: str, footprint: _Footprint) -> None:
    report.add(when=when, **footprint._asdict())


async def _footprint(pid: int, port: int, client: broker.Redis) -> _Footprint:
    process = psutil.Process(pid)
    rss_mb = process.memory_info().rss / (1 << 20)
    tasks = await asyncio.to_thread(_metric, port, "antiphon_tasks")
    # Without TCP connections: the pool keeps as many to the broker as it once needed.
    files = process.num_fds() - len(process.net_connections("tcp"))
    return _Footprint(rss_mb, tasks, files, process.num_threads(), len(await client.keys("*")))


async def _quiet(port: int) -> None:
    """Until the worker carries no session."""
    deadline = time.monotonic() + _QUIET_TIMEOUT_S
    while await asyncio.to_thread(_metric, port, "antiphon_media_sessions") > 0:
        if time.monotonic() > deadline:
            raise TimeoutError("sessions are left open")
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.0)  # the worker's own batch to Redis, and the callers' last packets


def _metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return next(float(line.split(" ")[1]) for line in lines if line.startswith(f"{name} "))
