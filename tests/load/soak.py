"""Callers who come and go for minutes, some over a bad network, while processes of every kind are killed.

At the end everything that was counted is back where it was before: sessions, keys, tasks, file descriptors, memory. And
no session has ended that its caller did not end.
"""

import argparse
import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from callers.impairment import Impairment
from callers.signaling import NotConnected
from callers.voice import RATE as CALLER_RATE
from pipeline_worker.engines.resampling import resampled
from shared.keys import WorkerKind
from tests.integration.deployment import Deployment, Service
from tests.integration.speech import spoken
from tests.load.bench_report import BenchReport
from tests.load.counting_calls import CountingCall, CountingCalls
from tests.load.faults import AGENT, Stage, deployed_with_spares
from tests.load.lasting_caller import RATE, LastingCaller
from tests.load.lossy_relay import LossyRelay
from tests.load.tone_words import text_of

_CALLERS = 10
_TEXT = text_of(24)
_WARM_UP_S = 25.0
_AWAY_S = (0.5, 5.0)
_STAYS_S = (5.0, 40.0)
_BETWEEN_FAULTS_S = (4.0, 10.0)
_AFTER_CALLS_S = 100.0
"""Kept of the minutes for the end: what dead processes leave expires within 95 s."""
_BAD_NETWORK = Impairment(loss=0.03, jitter_ms=30.0, reordered=0.01, duplicated=0.01)
_RETRY_S = 0.5
_GROWTH_MB = 40.0
_SESSIONS: dict[WorkerKind, str] = {
    "gateway": "antiphon_gateway_signaling_connections",
    "media": "antiphon_media_sessions",
    "pipeline": "antiphon_pipeline_sessions",
}


class _PassingCaller(CountingCall):
    """Calls, stays for a while, hangs up, and calls again."""

    calls = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(*_AWAY_S))
            with self._network() as relay:
                first = self._rng.randrange(len(self._gateways))
                caller = LastingCaller(self._gateways, first, self._agent_id, relay.rewrite if relay else str)
                try:
                    async with caller:
                        self.calls += 1
                        self.caller = caller
                        if relay is not None:
                            relay.spoil(True)
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(self._rng.uniform(*_STAYS_S)):
                                await self._talk(caller)
                        if caller.is_lost:
                            self._lose(caller)
                except NotConnected:
                    self.refused += 1
                    await asyncio.sleep(_RETRY_S)
                finally:
                    self.caller = None

    @contextlib.contextmanager
    def _network(self) -> Iterator[LossyRelay | None]:
        """Every third caller's is bad."""
        if self._index % 3:
            yield None
            return
        relay = LossyRelay(_BAD_NETWORK, self._rng.randrange(1_000))
        relay.start()
        try:
            yield relay
        finally:
            relay.close()


class _Footprint(NamedTuple):
    """Of one process."""

    sessions: float
    tasks: float
    files: int
    memory_mb: float


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=4.0, metavar="M", help="the whole run but its start")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the kills")


def run(report: BenchReport, arguments: argparse.Namespace) -> None:
    asyncio.run(_run(report, arguments.minutes * 60, random.Random(arguments.seed)))


async def _run(report: BenchReport, run_s: float, rng: random.Random) -> None:
    (question,) = await spoken("What do you have today?")
    speech = resampled(question, CALLER_RATE, RATE)
    async with deployed_with_spares(_TEXT) as (deployment, broker):
        began_s = time.monotonic()
        urls = [deployment.signaling_urls]
        async with CountingCalls(2 * _CALLERS * urls, AGENT, _TEXT, speech).running():
            await asyncio.sleep(_WARM_UP_S)
        before = await _quiet(deployment, began_s + 2 * _WARM_UP_S)
        calls = CountingCalls(_CALLERS * urls, AGENT, _TEXT, speech, _PassingCaller)
        stage = Stage(deployment, broker, dict(enumerate(calls.all)))
        async with calls.running():
            kinds: list[WorkerKind] = []
            while time.monotonic() < began_s + run_s - _AFTER_CALLS_S:
                await asyncio.sleep(rng.uniform(*_BETWEEN_FAULTS_S))
                kinds = kinds or rng.sample(tuple(_SESSIONS), len(_SESSIONS))
                kind = kinds.pop()
                with contextlib.suppress(LookupError):  # nobody is calling
                    await stage.kill(f"{kind} killed", kind)
                await stage.ready()
        left = await deployment.leftovers()
        after = await _quiet(deployment, time.monotonic() + 10.0)
    _report(report, stage, calls.all, (before, after))
    report.bar("keys left", len(left), 0, "lower")
    for name in left:
        print("left:", name)


async def _quiet(deployment: Deployment, until_s: float) -> dict[WorkerKind, _Footprint]:
    """The largest figures of each kind, once nobody has a session, or at `until_s`."""
    while True:
        found = {kind: await _largest(deployment, kind) for kind in _SESSIONS}
        if not any(footprint.sessions for footprint in found.values()) or time.monotonic() > until_s:
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(1.0)  # tasks of the last session end after it
    return {kind: await _largest(deployment, kind) for kind in _SESSIONS}


async def _largest(deployment: Deployment, kind: WorkerKind) -> _Footprint:
    each = [
        await asyncio.to_thread(_footprint, service, kind, deployment.broker_port)
        for service in deployment.running(kind)
    ]
    return _Footprint(*(max(column) for column in zip(*each, strict=True)))


def _footprint(service: Service, kind: WorkerKind, broker_port: int) -> _Footprint:
    return _Footprint(
        service.metric(_SESSIONS[kind]),
        service.metric("antiphon_tasks"),
        service.open_files(broker_port),
        psutil.Process(service.process.pid).memory_info().rss / 1e6,
    )


def _report(
    report: BenchReport,
    stage: Stage,
    calls: list[CountingCall],
    footprints: tuple[dict[WorkerKind, _Footprint], dict[WorkerKind, _Footprint]],
) -> None:
    kills = Counter(fault.row for fault in stage.faults)
    before, after = footprints
    for kind in _SESSIONS:
        was, now = before[kind], after[kind]
        report.add(kind=kind, kills=kills[f"{kind} killed"], when="before", **was._asdict())
        report.add(kind=kind, when="after", **now._asdict())
        report.bar(f"{kind}: sessions left", now.sessions, 0, "lower")
        report.bar(f"{kind}: tasks more than before", now.tasks - was.tasks, 0, "lower")
        report.bar(f"{kind}: file descriptors more than before", now.files - was.files, 0, "lower")
        report.bar(f"{kind}: memory more than before, MB", now.memory_mb - was.memory_mb, _GROWTH_MB, "lower")
    lost = [lost.why for call in calls for lost in call.lost]
    made = sum(call.calls for call in calls if isinstance(call, _PassingCaller))
    print(f"{made} calls, {sum(call.refused for call in calls)} refused, {len(stage.faults)} kills, lost: {lost}")
    report.bar("calls", made, _CALLERS, "higher")
    report.bar("sessions that ended by themselves", len(lost), 0, "lower")
