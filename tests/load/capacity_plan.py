"""How many cores, processes, nodes and how much money a number of concurrent sessions takes. Arithmetic only.

A cell is a deployment with a broker, gateways and workers of its own, all in one zone; cells share nothing, and callers
are spread over them by DNS or a load balancer. Within a cell, a media worker keeps its sessions on few pipeline
workers, so the frames of many sessions share an entry of the broker, however large the cell is.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from media_worker.core.pipeline_affinity import ENOUGH
from shared.io.outbox import SLOT_MS

_SLOT_S = SLOT_MS / 1000
"""For which a media worker collects frames."""
_PACKETS_PER_S = 50
_RTP_BYTES = 20 + 8 + 12 + 16
"""Headers of IPv4, UDP and RTP, and the tag of SRTP (AES-GCM, RFC 7714), of each packet."""
_UPLINK_PCM_KB_S, _DOWNLINK_PCM_KB_S = 32.0, 48.0


@dataclass(frozen=True)
class UnitCosts:
    """What was measured. CPU in milliseconds of one core."""

    media_ms: float
    """A second of a session in a media worker."""
    pipeline_ms: float
    """A second of a session in a pipeline worker with voice activity detection, whose engines are elsewhere."""
    set_up_gateway_ms: float
    event_gateway_ms: float
    held_kb: float
    """Memory of a WebSocket in a gateway."""
    broker_few_ms: float
    """A second of a session in the broker, if `few_frames` of callers share an entry, as pairs of workers are few."""
    few_frames: float
    broker_all_ms: float
    """The same, if every media worker writes to every pipeline worker, and `all_frames` share an entry."""
    all_frames: float
    media_mb: float
    pipeline_mb: float

    def broker_ms(self, frames_per_entry: float) -> float:
        """A second of a session: a part for each byte, and one for each entry."""
        each_entry = max(0.0, self.broker_all_ms - self.broker_few_ms) / (1 / self.all_frames - 1 / self.few_frames)
        return max(0.0, self.broker_few_ms - each_entry / self.few_frames) + each_entry / frames_per_entry


@dataclass(frozen=True)
class Assumptions:
    """What was not measured: the callers' habits, the machines and their prices."""

    sessions: int = 100_000
    cell_sessions: int = 5_000
    zones: int = 3
    call_s: float = 180.0
    """Mean duration, which decides the set-ups per second."""
    events_per_s: float = 0.5
    """Of a session: transcripts, status, metrics."""
    caller_talks: float = 1.0
    """Share of the time in which packets come: 1 for an open microphone without DTX."""
    agent_talks: float = 0.4
    kbit_s: float = 32.0
    """Opus, both ways."""
    busy: float = 0.7
    """Share of a core that is used at the stated number of sessions."""
    set_up_media_ms: float = 7.0
    """DTLS handshake and session, evidence of the design: 5 to 7 ms."""
    engine_ms: float = 0.0
    """A second of a session, if recogniser and voice run on our cores: 1000 / the sessions per core of `speech`."""
    replicas: int = 1
    """Of each broker node."""
    replication: float = 1.3
    """What feeding a replica adds to a node's work; a guess until it is measured."""
    process_mb: float = 120.0
    """Of a process without sessions."""
    broker_mb: float = 512.0
    node_cores: int = 16
    node_gb: float = 32.0
    node_gbit_s: float = 10.0
    node_reserved: float = 1.0
    """Cores of a node that are the system's."""
    core_hour: float = 0.04
    """USD. General-purpose machines on demand, list prices of the large clouds, memory included."""
    gb_out: float = 0.05
    """USD for a GB to the internet, at the volume of such a deployment."""

    def __post_init__(self) -> None:
        for name in ("sessions", "cell_sessions", "zones", "call_s", "busy", "node_cores", "node_gb", "node_gbit_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is not more than 0: {getattr(self, name)}")


class Row(NamedTuple):
    what: str
    value: float
    arithmetic: str


@dataclass(frozen=True)
class Plan:
    rows: list[Row]
    cores: int
    nodes: int
    usd_per_session_hour: float

    def table(self) -> str:
        """In Markdown."""
        lines = [f"| {row.what} | {_shown(row.value)} | {row.arithmetic} |" for row in self.rows]
        return "\n".join(["| What | | Arithmetic |", "|---|---|---|", *lines])


def frames_per_entry(sessions: float, media_workers: int, pipeline_workers: int) -> float:
    """How many callers' frames share an entry: those of a media worker's slot for one of its pipeline workers."""
    of_slot = sessions / media_workers * _PACKETS_PER_S * _SLOT_S
    return max(1.0, of_slot / min(ENOUGH, pipeline_workers))


def plan(costs: UnitCosts, given: Assumptions) -> Plan:
    """Each process has one core. Every kind of process has a spare one in each cell, and every zone a spare node."""
    cells = math.ceil(given.sessions / given.cell_sessions)
    rows = [Row("cells", cells, f"{given.sessions:,} / {given.cell_sessions:,}")]
    cell = _cell(rows, costs, given, given.sessions / cells)
    cores = cells * (cell.processes + cell.brokers)
    rows.append(Row("cores", cores, f"{cells} x ({cell.processes} processes + {cell.brokers} broker nodes)"))
    memory_gb = _memory_gb(rows, costs, given, cells, cell)
    traffic = _traffic(rows, given)
    nodes = _nodes(rows, given, cores, memory_gb, traffic)
    return Plan(rows, cores, nodes, _price(rows, given, nodes, traffic.out_gbit_s))


class _Cell(NamedTuple):
    processes: int
    brokers: int


class _Traffic(NamedTuple):
    in_gbit_s: float
    out_gbit_s: float
    broker_gbit_s: float


def _cell(rows: list[Row], costs: UnitCosts, given: Assumptions, sessions: float) -> _Cell:
    set_ups = sessions / given.call_s
    rows.append(Row("set-ups per second, cell", set_ups, f"{sessions:,.0f} sessions / {given.call_s:g} s"))

    def processes(kind: str, *work: tuple[float, float]) -> int:
        """Each of `work` is how often a second, and milliseconds each time."""
        used = sum(often * ms for often, ms in work) / 1000
        needed = math.ceil(used / given.busy)
        terms = " + ".join(f"{often:,.0f} x {ms:.2f} ms" for often, ms in work)
        rows.append(Row(kind, needed + 1, f"({terms} = {used:.2f} cores) / {given.busy:g}, and a spare one"))
        return needed + 1

    media = processes("media workers, cell", (sessions, costs.media_ms), (set_ups, given.set_up_media_ms))
    pipeline = processes("pipeline workers, cell", (sessions, costs.pipeline_ms + given.engine_ms))
    events = sessions * given.events_per_s
    gateways = processes("gateways, cell", (set_ups, costs.set_up_gateway_ms), (events, costs.event_gateway_ms))
    frames = frames_per_entry(sessions, media - 1, pipeline - 1)
    terms = f"{sessions:,.0f} sessions / {media - 1} x 50 x 8 ms / {min(ENOUGH, pipeline - 1)} pipeline workers of each"
    rows.append(Row("frames in an entry of the broker", frames, terms))
    replication = given.replication if given.replicas else 1.0
    used = sessions * costs.broker_ms(frames) * replication / 1000
    masters = _masters(used / given.busy)
    brokers = masters * (1 + given.replicas)
    terms = f"{sessions:,.0f} x {costs.broker_ms(frames):.3f} ms x {replication:g} = {used:.2f} cores"
    copies = f"{masters} of them, with {given.replicas} replica each"
    rows.append(Row("broker nodes, cell", brokers, f"({terms}) / {given.busy:g}: {copies}"))
    return _Cell(media + pipeline + gateways, brokers)


def _masters(cores: float) -> int:
    """A core each. One has Sentinels; a cluster needs three, because a majority of its masters elects a new one."""
    return 1 if cores <= 1 else max(3, math.ceil(cores))


def _memory_gb(rows: list[Row], costs: UnitCosts, given: Assumptions, cells: int, cell: _Cell) -> float:
    each_mb = costs.media_mb + costs.pipeline_mb + costs.held_kb / 1000
    of_processes_mb = cells * (cell.processes * given.process_mb + cell.brokers * given.broker_mb)
    memory_gb = (given.sessions * each_mb + of_processes_mb) / 1000
    each = f"({costs.media_mb:.2f} + {costs.pipeline_mb:.2f} + {costs.held_kb / 1000:.3f} MB)"
    rows.append(
        Row("memory, GB", memory_gb, f"{given.sessions:,} x {each} + {of_processes_mb / 1000:,.0f} GB of processes")
    )
    return memory_gb


def _traffic(rows: list[Row], given: Assumptions) -> _Traffic:
    packet_bytes = given.kbit_s * 1000 / 8 / _PACKETS_PER_S + _RTP_BYTES
    packets_gbit_s = given.sessions * _PACKETS_PER_S * packet_bytes * 8 / 1e9
    pcm_kb_s = given.caller_talks * _UPLINK_PCM_KB_S + given.agent_talks * _DOWNLINK_PCM_KB_S
    found = _Traffic(
        given.caller_talks * packets_gbit_s,
        given.agent_talks * packets_gbit_s,
        2 * given.sessions * pcm_kb_s * 8 / 1e6,
    )
    packets = f"{given.sessions:,} x {_PACKETS_PER_S} x {packet_bytes:.0f} bytes x 8"
    rows += [
        Row("from callers, Gbit/s", found.in_gbit_s, f"{packets} x {given.caller_talks:g} of the time"),
        Row("to callers, Gbit/s", found.out_gbit_s, f"{packets} x {given.agent_talks:g} of the time"),
        Row(
            "into and out of all brokers, Gbit/s",
            found.broker_gbit_s,
            f"2 x {given.sessions:,} x {pcm_kb_s:.1f} kB/s of PCM x 8",
        ),
    ]
    return found


def _nodes(rows: list[Row], given: Assumptions, cores: int, memory_gb: float, traffic: _Traffic) -> int:
    by_cores = cores / (given.node_cores - given.node_reserved)
    by_memory = memory_gb / given.node_gb / given.busy
    # What goes into a broker comes out of a worker, and the other way round. Links carry as much in as out.
    through_gbit_s = max(traffic.in_gbit_s, traffic.out_gbit_s) + traffic.broker_gbit_s
    by_network = through_gbit_s / given.node_gbit_s / given.busy
    nodes = given.zones * (math.ceil(max(by_cores, by_memory, by_network) / given.zones) + 1)
    needed = f"{by_cores:.1f} by cores, {by_memory:.1f} by memory, {by_network:.1f} by network"
    what = f"nodes of {given.node_cores} cores, {given.node_gb:g} GB, {given.node_gbit_s:g} Gbit/s"
    rows.append(Row(what, nodes, f"{needed}; in {given.zones} zones, with a spare one in each"))
    return nodes


def _price(rows: list[Row], given: Assumptions, nodes: int, out_gbit_s: float) -> float:
    """USD per session-hour."""
    cores, gb_an_hour = nodes * given.node_cores, out_gbit_s / 8 * 3600
    usd = (cores * given.core_hour + gb_an_hour * given.gb_out) / given.sessions
    bill = f"{cores:,} cores x {given.core_hour:g} + {gb_an_hour:,.0f} GB x {given.gb_out:g}"
    rows.append(Row("USD per session-hour", usd, f"({bill}) / {given.sessions:,}"))
    return usd


def _shown(value: float) -> str:
    if value == int(value) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 0.1 else f"{value:.3g}"
