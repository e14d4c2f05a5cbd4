"""Real processes that fail on request while callers talk, and which callers each fault may concern."""

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.io.broker import BROKER_FAILURES, connect
from shared.keys import WorkerKind
from tests.integration.deployment import Deployment, Service, deployed
from tests.integration.kept_sessions import holder
from tests.integration.restartable_broker import RestartableBroker
from tests.integration.talk import write_agent
from tests.load.counting_calls import CountingCall

AGENT = "counting"
Processes = dict[WorkerKind, int]
_SPARE: Processes = {"gateway": 2, "media": 3, "pipeline": 5}
"""Processes of each kind. One less must have room for all callers."""
ONE_OF_EACH: Processes = {"gateway": 1, "media": 1, "pipeline": 1}
_MOST_HITS, _RECOVERED_AFTER_S = 3, 62.0
"""A session that loses four pipeline workers in a minute is ended on purpose, so none is made to."""
_DRAIN_TIMEOUT_S = 4
_EXIT_TIMEOUT_S = 15
_HOLDERS: dict[WorkerKind, str] = {"media": "media_worker", "pipeline": "pipeline_worker"}


@dataclass
class Fault:
    """Times are monotonic. What fails is back at `back_s`, if it comes back. Callers are named by their number."""

    row: str
    at_s: float
    callers: Collection[int]
    back_s: float | None = None
    kind: WorkerKind | None = None
    """Of the process that fails; none for the broker and for WebSockets."""
    worker: str = ""
    """The process."""


class Stage:
    def __init__(self, deployment: Deployment, broker: RestartableBroker, calls: Mapping[int, CountingCall]) -> None:
        """`calls` by the number that a fault names them by."""
        self.deployment = deployment
        self.broker = broker
        self.faults: list[Fault] = []
        self.exit_codes: list[int] = []
        """Of drained processes."""
        self._calls = calls

    async def ready(self) -> None:
        await self.deployment.ready()

    async def kill(self, row: str, kind: WorkerKind) -> None:
        """One process that has callers; another is started at once."""
        victim, callers = await self._victim(kind)
        at_s = time.monotonic()
        victim.kill()
        self.faults.append(Fault(row, at_s, callers, kind=kind, worker=victim.worker_id))
        self._replace(victim, kind)

    async def hang(self, row: str, kind: WorkerKind, for_s: float) -> None:
        """One process that has callers stands still for so long, and goes on."""
        victim, callers = await self._victim(kind)
        self.faults.append(Fault(row, time.monotonic(), callers, kind=kind, worker=victim.worker_id))
        victim.suspend()
        await asyncio.sleep(for_s)
        victim.carry_on()

    async def drain(self, row: str, *kinds: WorkerKind) -> None:
        """One process of each kind, at the same time; others are started first."""
        victims = {kind: await self._victim(kind) for kind in kinds}
        for kind, (victim, _) in victims.items():
            if kind != "gateway":
                self._replace(victim, kind)
        await self.ready()
        at_s = time.monotonic()
        for kind, (victim, callers) in victims.items():
            victim.terminate()
            self.faults.append(Fault(row, at_s, callers, kind=kind, worker=victim.worker_id))
        for kind, (victim, _) in victims.items():
            self.exit_codes.append(await asyncio.to_thread(victim.process.wait, _EXIT_TIMEOUT_S))
            if kind == "gateway":
                self._replace(victim, kind)

    async def cut(self, row: str, count: int) -> None:
        """The WebSockets of so many callers."""
        chosen = dict([(number, call.caller) for number, call in self._calls.items() if call.caller][:count])
        at_s = time.monotonic()
        for caller in chosen.values():
            caller.signaling.cut()
        self.faults.append(Fault(row, at_s, list(chosen)))

    async def break_broker(
        self, row: str, for_s: float, *, empty: bool = False, hang: bool = False, callers_wait: bool = False
    ) -> None:
        """With `callers_wait`, nobody asks meanwhile, nor gives up waiting for a reply: nobody could hear them."""
        at_s = time.monotonic()
        if callers_wait:
            for call in self._calls.values():
                call.wait()
        if hang:
            self.broker.suspend()
        else:
            await asyncio.to_thread(self.broker.stop)
        await asyncio.sleep(for_s - (time.monotonic() - at_s))
        if hang:
            self.broker.carry_on()
        else:
            await asyncio.to_thread(lambda: self.broker.start(empty=empty))
        self.faults.append(Fault(row, at_s, list(self._calls), time.monotonic()))
        if callers_wait:
            for call in self._calls.values():
                call.go_on()

    def _replace(self, victim: Service, kind: WorkerKind) -> None:
        self.deployment.start(kind, self.deployment.port_of(victim) if kind == "gateway" else None)

    async def _victim(self, kind: WorkerKind) -> tuple[Service, list[int]]:
        """The process whose callers have suffered the least lately, and its callers. Waits until there is one."""
        deadline_s = time.monotonic() + _RECOVERED_AFTER_S
        while time.monotonic() < deadline_s:
            held, since_s = await self._held(kind), time.monotonic() - _RECOVERED_AFTER_S
            recent = [fault for fault in self.faults if fault.kind == kind and fault.at_s > since_s]
            hits = Counter(number for fault in recent for number in fault.callers)
            found = [
                (max(hits[number] for number in callers), len(callers), service)
                for service in self.deployment.running(kind)
                if (callers := held.get(service.worker_id))
            ]
            most, _, victim = min(found, key=lambda each: each[:2], default=(_MOST_HITS, 0, None))
            if victim is not None and (kind != "pipeline" or most < _MOST_HITS):
                return victim, held[victim.worker_id]
            await asyncio.sleep(1.0)
        raise LookupError(f"no {kind} process has callers who may lose it, by the sessions' records")

    async def _held(self, kind: WorkerKind) -> dict[str, list[int]]:
        """Callers by worker id."""
        held: dict[str, list[int]] = {}
        with_caller = [(number, call.caller) for number, call in self._calls.items() if call.caller is not None]
        if kind == "gateway":
            for number, caller in with_caller:
                with contextlib.suppress(StopIteration):  # its gateway has just died
                    held.setdefault(self.deployment.at(caller.signaling.url).worker_id, []).append(number)
            return held
        client = connect(self.deployment.broker_url)
        try:
            for number, caller in with_caller:
                worker_id = await holder(client, caller.session, _HOLDERS[kind])
                held.setdefault(worker_id, []).append(number)
        except BROKER_FAILURES as error:
            raise LookupError("the broker is away") from error
        finally:
            await client.aclose()
        return held


@contextlib.asynccontextmanager
async def deployed_with_spares(
    text: str, processes: Processes = _SPARE
) -> AsyncIterator[tuple[Deployment, RestartableBroker]]:
    """Enough processes of each kind that one may fail, unless `processes` says otherwise, on a broker that may fail."""
    with tempfile.TemporaryDirectory(prefix="antiphon-chaos-") as folder:
        agents, data = Path(folder) / "agents", Path(folder) / "broker"
        for each in (agents, data):
            each.mkdir()
        write_agent(agents, text, AGENT)
        broker = RestartableBroker(data)
        broker.start()
        try:
            async with deployed(
                broker.url,
                gateways=processes["gateway"],
                media_workers=processes["media"],
                pipeline_workers=processes["pipeline"],
                ANTIPHON_AGENTS_DIR=str(agents),
                ANTIPHON_DRAIN_TIMEOUT_S=str(_DRAIN_TIMEOUT_S),
            ) as deployment:
                yield deployment, broker
        finally:
            broker.stop()
