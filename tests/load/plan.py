"""A capacity table from measured unit costs: what so many concurrent sessions take, with the arithmetic of each line.

`--from` is a folder with what `system`, `density`, `pipeline`, `gateways` and `broker` have written there by `--json`,
named NAME.json (and `memory`, if it is there). Without it, short versions of them run first. What is not measured is an
assumption, each with an option.
"""

import argparse
import asyncio
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from tests.load import broker, density, gateways, pipeline, stack
from tests.load.bench_report import BenchReport, machine
from tests.load.capacity_plan import Assumptions, UnitCosts, plan

_CELLS = (1_000, 2_500, 5_000, 20_000, 100_000)
_MEDIA_MB = 0.3
"""Where `memory` was not measured: its bound is 0.5."""
_HELD, _IDLE_S = 1_000, 10.0
_PARTS = (0.4, 0.2)
_MOST_USD = 0.005
_SAID = {
    "sessions": "concurrent, in all",
    "cell_sessions": "of a deployment with a broker of its own",
    "zones": "each gets a spare node",
    "call_s": "mean duration of a call",
    "events_per_s": "to a client, each session",
    "caller_talks": "share of the time in which packets come; 1: no DTX",
    "agent_talks": "share of the time",
    "kbit_s": "Opus, both ways",
    "busy": "share of a core that is used",
    "set_up_media_ms": "CPU of a handshake",
    "engine_ms": "CPU of a session's engines on our cores, a second",
    "replicas": "of each broker node",
    "replication": "what a replica costs its node, as a factor",
    "process_mb": "of a process without sessions",
    "broker_mb": "of a broker node",
    "node_cores": "",
    "node_gb": "",
    "node_gbit_s": "each way",
    "node_reserved": "cores of a node for the system",
    "core_hour": "USD",
    "gb_out": "USD for a GB to the internet",
}
_Files = Mapping[str, list[dict[str, Any]]]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", type=Path, dest="folder", metavar="DIR", help="measured before")
    for field in dataclasses.fields(Assumptions):
        option = "--" + field.name.replace("_", "-")
        kind = type(field.default)
        parser.add_argument(
            option, type=kind, default=field.default, metavar="N", help=f"{_SAID[field.name]} [{field.default}]"
        )


def run(report: BenchReport, arguments: argparse.Namespace) -> None:
    given = Assumptions(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Assumptions)})
    figures, where = (_measured(), machine()) if arguments.folder is None else _read(arguments.folder)
    costs = unit_costs(figures)
    found = plan(costs, given)
    print(f"\nUnit costs, measured on {where}:\n")
    for name, value in dataclasses.asdict(costs).items():
        print(f"    {name:20} {value:.4g}")
    print(f"\nFor {given.sessions:,} concurrent sessions:\n\n{found.table()}\n\nWith other cells:\n")
    print(_cells_table(costs, given))
    for row in found.rows:
        report.add(what=row.what, value=row.value)
    _compare(figures.get("system", []), costs)
    kept_up = [_last(figures["broker"], "broker", what)["kept_up"] for what in (broker.FEW, broker.ALL)]
    report.bar("figures of a broker that kept up, of 2", kept_up.count("yes"), 2, "higher")
    if given == Assumptions():
        report.bar("USD per session-hour", found.usd_per_session_hour, _MOST_USD, "lower")


def unit_costs(figures: _Files) -> UnitCosts:
    """From the rows of the benchmarks. Raises `KeyError` with the name of one that is missing."""
    few, every = (_last(figures["broker"], "broker", what) for what in (broker.FEW, broker.ALL))
    speaking = _last(figures["pipeline"], "microphone", pipeline.OPEN_MICROPHONE)
    memory = figures.get("memory", [])
    empty = next((row["rss_mb"] for row in memory if row["when"] == "empty"), 0.0)
    full = [(row["rss_mb"], int(row["when"].split()[0])) for row in memory if row["when"].endswith(" sessions")]
    return UnitCosts(
        media_ms=_last(figures["density"], "talk", density.USUAL)["ms_per_session_s"],
        pipeline_ms=speaking["ms_per_session_s"],
        set_up_gateway_ms=_last(figures["gateways"], "what", "set-up")["gateway_ms_each"],
        event_gateway_ms=_last(figures["gateways"], "what", "event to a client")["gateway_ms_each"],
        held_kb=_last(figures["gateways"], "what", "held")["kb_each"],
        broker_few_ms=few["broker_ms_per_session_s"],
        few_frames=few["frames_per_entry"],
        broker_all_ms=every["broker_ms_per_session_s"],
        all_frames=every["frames_per_entry"],
        media_mb=(full[0][0] - empty) / full[0][1] if full else _MEDIA_MB,
        pipeline_mb=max(0.0, speaking["mb_per_session"]),
    )


def _compare(system: list[dict[str, Any]], costs: UnitCosts) -> None:
    """One core that carries everything is a check on the sum of its parts."""
    together = [row for row in system if "front desk" in str(row.get("work"))]
    if together:
        whole_ms, parts_ms = together[-1]["ms_per_session_s"], costs.media_ms + costs.pipeline_ms
        print(
            f"\nThe whole stack on one core: {whole_ms:.2f} ms; its workers on cores of their own: {parts_ms:.2f} ms."
        )


def _cells_table(costs: UnitCosts, given: Assumptions) -> str:
    lines = [
        "| Sessions of a cell | Broker nodes, all cells | Cores | Nodes | USD per session-hour |",
        "|---|---|---|---|---|",
    ]
    for size in _CELLS:
        if size > given.sessions:
            continue
        found = plan(costs, dataclasses.replace(given, cell_sessions=size))
        value = {row.what: row.value for row in found.rows}
        brokers = value["cells"] * value["broker nodes, cell"]
        lines.append(
            f"| {size:,} | {brokers:,.0f} | {found.cores:,} | {found.nodes:,} | {found.usd_per_session_hour:.2g} |"
        )
    return "\n".join(lines)


def _read(folder: Path) -> tuple[_Files, str]:
    """The rows of each benchmark, and the machines on which they were measured."""
    names = ("system", "density", "pipeline", "gateways", "broker", "memory")
    files = {name: folder / f"{name}.json" for name in names}
    found = {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.exists()}
    machines = sorted({content["machine"] for content in found.values()})
    return {name: content["figures"] for name, content in found.items()}, ", ".join(machines)


def _measured() -> _Files:
    """Short versions of the benchmarks."""
    reports = {name: BenchReport(name) for name in ("density", "pipeline", "gateways", "broker")}
    os.sched_setaffinity(0, {stack.LOAD_CORE})
    asyncio.run(density.measure_usual(reports["density"]))
    asyncio.run(pipeline.measure_open_microphone(reports["pipeline"]))
    uvloop.run(gateways.measure(reports["gateways"], _HELD, _IDLE_S))
    uvloop.run(broker.measure_one_server(reports["broker"], _PARTS))
    for report in reports.values():
        report.print()
    return {name: report.figures for name, report in reports.items()}


def _last(rows: list[dict[str, Any]], column: str, content: str) -> dict[str, Any]:
    return next(row for row in reversed(rows) if row.get(column) == content)
