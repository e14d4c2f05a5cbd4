"""A gateway, media workers, a broker and a pipeline worker on one core, and a swarm of callers on the other."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from callers.signaling import NotConnected, Signaling
from shared.io import broker
from shared.io.heartbeat import live_workers
from shared.keys import WorkerKind
from tests.integration.deployment import Deployment, deployed
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.steal import stolen_s
from tests.load.swarm import Swarm, process_cpu_s

GAP_S = 0.06
"""A longer silence between two packets is heard."""
LAG_MS = 100.0
"""How late an event loop may be: the agent's audio runs further ahead of playing than that."""
CALLERS_CORE = 0.8
"""Callers who use more of their core are late themselves, which flatters the servers."""
_SERVED = 0.96
"""Of 50 packets a second."""
_CONNECTIONS = "400"
"""Of an address, to a gateway. How many sessions the workers take is left to their own estimates."""
_ATTEMPTS, _RETRY_S = 60, 0.5
_TOGETHER, _BETWEEN_S = 4, 0.3
"""How callers arrive."""
_SETTLE_S = 4.0
_WINDOWS = 3
"""How often a level is measured until everybody was served: the host may have taken the processors away."""
_KINDS: tuple[WorkerKind, ...] = ("gateway", "media", "pipeline")
_LOST = ("antiphon_session_audio_dropped_total", "antiphon_uplink_unusable_total", "antiphon_engine_failures_total")


@dataclass
class Level:
    """What a number of callers cost. CPU is in milliseconds a second, all sessions together."""

    sessions: int
    cpu_ms: dict[str, float]
    callers_core: float
    sent_per_s: float
    received_per_s: float
    starved: int
    """Callers who got fewer packets than they sent; with an agent who is silent, it says nothing."""
    worst_gap_ms: float
    worst_lag_ms: float
    callers_late_ms: float
    lost: float
    refused: int
    stolen_share: float
    windows: int = 1
    """How many were measured until nobody suffered; this is the last."""

    @property
    def core_used(self) -> float:
        return sum(self.cpu_ms.values()) / 1000

    @property
    def ms_per_session(self) -> float:
        return sum(self.cpu_ms.values()) / self.sessions

    def suffered(self, echo: bool) -> bool:
        """Whether somebody heard that the machine is busy, or the callers themselves were late."""
        gaps = echo and (self.starved > 0 or self.worst_gap_ms > GAP_S * 1000)
        return gaps or self.worst_lag_ms > LAG_MS or self.lost > 0 or self.sent_per_s < 50 * _SERVED

    def add_row(self, report: BenchReport, echo: bool, **row: Any) -> None:
        each = {f"{name}_ms": ms / max(1, self.sessions) for name, ms in self.cpu_ms.items()}
        per_session = {"ms_per_session_s": self.ms_per_session, "sessions_per_core": 1000 / self.ms_per_session}
        report.add(
            **row,
            sessions=self.sessions,
            **per_session,
            **each,
            core_used=self.core_used,
            callers_core=self.callers_core,
            sent_per_s=self.sent_per_s,
            received_per_s=self.received_per_s,
            starved_callers=self.starved if echo else None,
            worst_gap_ms=self.worst_gap_ms if echo else None,
            worst_lag_ms=self.worst_lag_ms,
            callers_late_ms=self.callers_late_ms,
            refused=self.refused,
            stolen_share=self.stolen_share,
            windows=self.windows,
        )

    def add_bars(self, report: BenchReport, what: str, echo: bool) -> None:
        """That the callers were not the limit, and that none of them suffered."""
        report.bar(f"{what}: core of the callers", self.callers_core, CALLERS_CORE, "lower")
        report.bar(f"{what}: packets per second of a caller", self.sent_per_s, 50 * _SERVED, "higher")
        report.bar(f"{what}: set-ups refused", self.refused, 0, "lower")
        report.bar(f"{what}: frames dropped, engines failed", self.lost, 0, "lower")
        report.bar(f"{what}: worst event loop lag ms", self.worst_lag_ms, LAG_MS, "lower")
        if echo:
            report.bar(f"{what}: callers who missed packets", self.starved, 0, "lower")
            report.bar(f"{what}: worst gap in a caller's ear ms", self.worst_gap_ms, GAP_S * 1000, "lower")


class WholeStack:
    """`callers` call one agent. Make it with `whole_stack`."""

    def __init__(self, deployment: Deployment, broker_pid: int, agent: str, packets: list[bytes]) -> None:
        self._deployment = deployment
        self._broker_pid = broker_pid
        self._agent = agent
        self._calls: list[Signaling] = []
        self._refused = 0
        self.swarm = Swarm(self._exchange, packets)

    async def idle_ms(self, window_s: float) -> dict[str, float]:
        """CPU of the processes in milliseconds a second, without callers."""
        began_s, before = time.monotonic(), self._cpu_s()
        await asyncio.sleep(window_s)
        return self._used_ms(before, time.monotonic() - began_s)

    async def measure(self, sessions: int, window_s: float, echo: bool) -> Level:
        """Let callers join until there are `sessions`, then listen and measure."""
        while (missing := sessions - len(self.swarm.callers)) > 0:
            await self.swarm.join(min(missing, _TOGETHER))
            await self.swarm.talk(_BETWEEN_S)
        await self.swarm.talk(_SETTLE_S)
        for windows in range(1, _WINDOWS + 1):
            level = await self._window(window_s)
            level.windows = windows
            if not level.suffered(echo):
                break
        return level

    async def leave(self) -> None:
        await asyncio.gather(*(call.hang_up() for call in self._calls))
        await self.swarm.leave()
        await asyncio.gather(*(call.close() for call in self._calls))

    async def _window(self, window_s: float) -> Level:
        began_s, before, lost, steal_s = time.monotonic(), self._cpu_s(), await self._lost(), stolen_s()
        watching = asyncio.create_task(self._worst_lag_ms(window_s))
        load = await self.swarm.talk(window_s)
        elapsed_s = time.monotonic() - began_s
        cpu_ms, stolen = self._used_ms(before, elapsed_s), (stolen_s() - steal_s) / elapsed_s / (os.cpu_count() or 1)
        callers = self.swarm.callers
        return Level(
            sessions=len(callers),
            cpu_ms=cpu_ms,
            callers_core=load["swarm_core_share"],
            sent_per_s=load["sent_per_s"],
            received_per_s=load["received_per_s"],
            starved=sum(caller.received_packets < 50 * _SERVED * window_s for caller in callers),
            worst_gap_ms=max((caller.worst_gap_s for caller in callers), default=0.0) * 1000,
            worst_lag_ms=await watching,
            callers_late_ms=load["worst_late_s"] * 1000,
            lost=await self._lost() - lost,
            refused=self._refused,
            stolen_share=stolen,
        )

    async def _exchange(self, index: int, sdp: str) -> str:
        """A caller who is refused asks again, so that the figure is of the number that was wanted, and is counted."""
        for attempt in range(_ATTEMPTS):
            call = Signaling(self._deployment.signaling_url, self._agent, lambda _: None)
            try:
                answer = await call.exchange(sdp)
            except NotConnected:
                self._refused += 1
                await call.close()
                if attempt + 1 == _ATTEMPTS:
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                self._calls.append(call)
                return answer
        raise AssertionError("the last attempt raises")

    def _cpu_s(self) -> dict[str, float]:
        used: dict[str, float] = {
            kind: sum(process_cpu_s(service.process.pid) for service in self._deployment.of_kind[kind])
            for kind in _KINDS
        }
        return {**used, "broker": process_cpu_s(self._broker_pid)}

    def _used_ms(self, before: dict[str, float], elapsed_s: float) -> dict[str, float]:
        return {name: (used - before[name]) / elapsed_s * 1000 for name, used in self._cpu_s().items()}

    async def _lost(self) -> float:
        """What the services count of things that callers notice."""
        services = [
            service for service in self._deployment.services if service not in self._deployment.of_kind["gateway"]
        ]
        found = await asyncio.to_thread(lambda: [service.metric(name) for service in services for name in _LOST])
        return sum(found)

    async def _worst_lag_ms(self, window_s: float) -> float:
        """The longest delay of an event loop that a worker reported."""
        worst, client = 0, broker.connect(self._deployment.broker_url)
        end_s = time.monotonic() + window_s
        while time.monotonic() < end_s:
            await asyncio.sleep(0.5)
            reports = [report for kind in _KINDS for report in await live_workers(client, kind)]
            worst = max(worst, *(report.lag_ms for report in reports))
        await client.aclose()
        return float(worst)


@contextlib.asynccontextmanager
async def whole_stack(
    agent: str, packets: list[bytes], media_workers: int = 1, **settings: str
) -> AsyncIterator[WholeStack]:
    """`settings` are those of the services. This process moves to the callers' core."""
    with stack.running_broker(stack.SERVER_CORE) as (url, broker_pid):
        os.sched_setaffinity(0, {stack.SERVER_CORE})  # services inherit it
        settings = {"ANTIPHON_GATEWAY_MAX_CONNECTIONS_PER_ADDRESS": _CONNECTIONS, **settings}
        all_settings = dict.fromkeys(_KINDS, settings)
        try:
            async with deployed(url, media_workers=media_workers, settings_of=all_settings) as deployment:
                os.sched_setaffinity(0, {stack.LOAD_CORE})
                calls = WholeStack(deployment, broker_pid, agent, packets)
                try:
                    yield calls
                finally:
                    await calls.leave()
        finally:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
