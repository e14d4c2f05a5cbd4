"""Callers of the echo agent who arrive a few at a time while everything that serves them shares one core.

The set-up of a call costs far more than the call. A burst of them must not read as a worker that is full for seconds:
nobody is refused before the core is. Callers have the other core.
"""

import argparse
import asyncio
import json
import os
from collections import Counter
from collections.abc import Sequence

from callers.signaling import NotConnected
from tests.integration.deployment import Service, deployed
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.neighbours import Neighbour, talking, worst_ms
from tests.load.steal import watching
from tests.load.swarm import process_cpu_s

_SETTLE_S = 5.0
_REFUSALS = ("session_refused", "offer_refused")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--callers", type=int, default=60, metavar="N", help="in all")
    parser.add_argument("--together", type=int, default=4, metavar="N", help="who arrive at the same time")
    parser.epilog = "Each batch arrives when the one before it is connected. Whoever is refused does not try again."


def run(report: BenchReport, arguments: argparse.Namespace) -> None:
    with stack.running_broker(stack.SERVER_CORE) as (url, broker_pid):
        os.sched_setaffinity(0, {stack.SERVER_CORE})  # services inherit it
        asyncio.run(_run(report, url, broker_pid, arguments.callers, arguments.together))


async def _run(report: BenchReport, url: str, broker_pid: int, callers: int, together: int) -> None:
    async with deployed(url) as deployment, watching() as steal:
        os.sched_setaffinity(0, {stack.LOAD_CORE})
        connected: list[Neighbour] = []
        refused: Counter[str] = Counter()
        clock = asyncio.get_running_loop().time
        pids = [broker_pid, *(service.process.pid for service in deployment.services)]

        async def arrive() -> None:
            neighbour = Neighbour(deployment.signaling_url)
            try:
                await neighbour.connect()
            except (NotConnected, TimeoutError) as error:
                refused[error.code if isinstance(error, NotConnected) else "timeout"] += 1
                await neighbour.leave()
            else:
                connected.append(neighbour)

        async with talking(connected) as stalls:
            began_s, cpu_s = clock(), sum(map(process_cpu_s, pids))
            for first in range(0, callers, together):
                await asyncio.gather(*(arrive() for _ in range(first, min(first + together, callers))))
            arrived_s, arriving_cpu_s = clock() - began_s, sum(map(process_cpu_s, pids)) - cpu_s
            for neighbour in connected:
                neighbour.heard()
            await asyncio.sleep(_SETTLE_S)
            talking_cpu_s = sum(map(process_cpu_s, pids)) - cpu_s - arriving_cpu_s
            gaps_ms = [worst_ms(neighbour.heard(), stalls, steal) for neighbour in connected]
        report.add(
            callers=callers,
            together=together,
            carried=len(connected),
            refused=sum(refused.values()),
            codes=", ".join(f"{code} {count}" for code, count in refused.most_common()) or None,
            arrived_in_s=arrived_s,
            core_arriving=arriving_cpu_s / arrived_s,
            core_talking=talking_cpu_s / _SETTLE_S,
            worst_gap_ms=max(gaps_ms, default=None),
        )
        for reason, count in _reasons(deployment.services).most_common():
            report.add(refused=count, codes=reason)
        report.bar("callers refused", sum(refused.values()), 0, "lower")
        report.bar(
            "callers who hear themselves", sum(gap_ms < _SETTLE_S * 1000 for gap_ms in gaps_ms), callers, "higher"
        )
        await asyncio.gather(*(neighbour.leave() for neighbour in connected))


def _reasons(services: Sequence[Service]) -> Counter[str]:
    """Why sessions were refused, as the services logged it."""
    lines = [json.loads(line) for service in services for line in service.log if line.startswith("{")]
    refusals = [line for line in lines if line.get("event") in _REFUSALS]
    return Counter(f"{line['event']} ({line.get('code')}): {line.get('reason')}" for line in refusals)
