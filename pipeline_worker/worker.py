"""A pipeline worker process: claims sessions while it has room, and lets them finish before it stops."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping

from prometheus_client import Gauge

from pipeline_worker.admission import TICK_S, Admission
from pipeline_worker.job_queue import JobQueue
from pipeline_worker.session_host import SessionHost
from pipeline_worker.session_opening import OpenEngines, OpenToolbox
from pipeline_worker.settings import PipelineSettings
from shared import keys
from shared.agent import AgentDefinition
from shared.events import StartPipeline
from shared.io.broker import BROKER_FAILURES, Redis, connect_blocking
from shared.io.build import own_version
from shared.io.heartbeat import Heartbeat
from shared.io.inbox import Inbox
from shared.io.logs import get_logger
from shared.io.outbox import Outbox
from shared.io.probes import serve_probes
from shared.io.processor import core_speed, usable_cores
from shared.liveness import TOUCH_INTERVAL_S
from shared.worker_report import Wish, WorkerReport, WorkerState

_RETRY_S = 0.5
_CLOSE_S = 5.0
_TICKS_PER_LOAD = round(1 / TICK_S)
_OWN_SHARE = 0.75
"""Of the capacity. A fuller worker leaves sessions that media workers want it to have to workers with more room."""
_KEPT_REPORTS = 3
"""One a second. A caller's job comes so long after their placement at most, as a rule."""

_capacity = Gauge("antiphon_pipeline_capacity_sessions", "Sessions that this process estimates it can serve")
_core_share = Gauge("antiphon_pipeline_core_share", "Share of a core that this process used in the last second")
_helper_core_share = Gauge(
    "antiphon_pipeline_helper_core_share", "Share of a core that the busiest helper process used in the last second"
)

log = get_logger()


class PipelineWorker:
    """`serve` is the life of the process.

    `helper_share` returns the share of a core that the busiest helper process has used since the last call; None
    without helpers.
    """

    def __init__(
        self,
        worker_id: str,
        settings: PipelineSettings,
        agents: Mapping[str, AgentDefinition],
        open_engines: OpenEngines,
        open_toolbox: OpenToolbox,
        broker: Redis,
        helper_share: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._id = worker_id
        self._settings = settings
        self._broker = broker
        self._helper_share = helper_share
        self._state: WorkerState = "starting"
        cores = usable_cores()
        self._core = min(1.0, cores)
        self._admission = Admission(settings.pipeline_capacity, core_speed(), cores)
        self._sessions = 0
        self._conversations = 0
        """Sessions that may use a helper."""
        self._echoes = frozenset(agent.id for agent in agents.values() if agent.mode == "echo")
        self._reported: deque[int] = deque(maxlen=_KEPT_REPORTS)
        """Capacities."""
        self._has_room = asyncio.Event()
        self._is_idle = asyncio.Event()
        # Agent audio does not age: it waits for its playout anyway, and `speaking.downlink` bounds its amount.
        self._outbox = Outbox(broker, worker_id, max_frame_age_s=math.inf)
        self._heartbeat = Heartbeat(broker, self._report, on_wish=self._on_wish)
        self._inbox_connection = connect_blocking(settings.redis_url)
        self._inbox = Inbox(self._inbox_connection, keys.inbox("pipeline", worker_id))
        outbox, liveness = self._outbox, self._inbox.liveness
        self._host = SessionHost(
            worker_id, settings, agents, open_engines, open_toolbox, broker, outbox.send, outbox.touch, liveness
        )

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain. Closes what it opened, not `broker`."""
        job_connections = {pool: connect_blocking(self._settings.redis_url) for pool in self._settings.pools}
        zone = self._settings.zone
        queues = [JobQueue(connection, pool, zone, self._id) for pool, connection in job_connections.items()]
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(self._outbox.run()),
                    tasks.create_task(self._read_inbox()),
                    tasks.create_task(self._keep_house()),
                    tasks.create_task(self._watch_load()),
                ]
                if self._settings.probe_port:
                    probes = serve_probes(self._settings.probe_host, self._settings.probe_port, self._not_ready)
                    background.append(tasks.create_task(probes))
                self._state = "serving"
                self._count_room()
                background.append(tasks.create_task(self._heartbeat.run()))
                claiming = [tasks.create_task(self._claim(queue, tasks)) for queue in queues]
                log.info("pipeline_worker_ready", worker_id=self._id, version=own_version(), pools=self._settings.pools)
                await stop.wait()
                await self._drain(claiming)
                for task in background:
                    task.cancel()
            await self._withdraw()
        finally:
            for connection in (self._inbox_connection, *job_connections.values()):
                await connection.aclose()

    async def _claim(self, queue: JobQueue, tasks: asyncio.TaskGroup) -> None:
        """Ends when the worker stops. Not to be cancelled, or a job that was just taken would be lost."""
        away = False
        while True:
            await self._has_room.wait()
            if not self._is_serving():
                return
            try:
                jobs = await queue.claim(self._room(), own=self._sessions < _OWN_SHARE * self._capacity())
                if not self._is_serving():
                    await queue.give_back(jobs)
                    return
                if self._shown_state == "draining":
                    await queue.give_back(jobs)
                    continue
            except BROKER_FAILURES as error:
                if not away:
                    log.warning("jobs_unreachable", pool=queue.pool, error=str(error))
                away = True
                await asyncio.sleep(_RETRY_S)
                continue
            away = False
            for job in jobs:
                self._sessions += 1
                self._conversations += job.agent_id not in self._echoes
                tasks.create_task(self._serve_job(job), name=f"session {job.session}")
            self._count_room()

    async def _serve_job(self, job: StartPipeline) -> None:
        refusal = self._host.refusal(job)
        try:
            if refusal is None:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._host.run(job))
                    tasks.create_task(self._announce(keys.reservations("pipeline", job.pool), job.session))
            else:
                log.warning("job_dropped", session_id=job.session, pool=job.pool, reason=refusal)
        finally:
            self._sessions -= 1
            self._conversations -= job.agent_id not in self._echoes
            self._count_room()

    async def _announce(self, reservations: str, session: str) -> None:
        """Turn the gateway's reservation of a slot into a session that is reported, in one step."""
        try:
            await self._heartbeat.announce(placed=(reservations, session))
        except BROKER_FAILURES as error:
            log.warning("reservation_left_to_expire", session_id=session, error=str(error))

    async def _read_inbox(self) -> None:
        async for received in self._inbox:
            for batch in received:
                self._host.dispatch(batch)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_INTERVAL_S)
            self._host.tend()
            if self._heartbeat.wish == "moving":
                self._host.leave()

    async def _watch_load(self) -> None:
        """Measures what all sessions share: the load of this process and of its helpers, and the loop's lateness."""
        loop = asyncio.get_running_loop()
        self._admission.on_helper_load(self._helper_share(), 0)
        while True:
            began, used_s = loop.time(), time.process_time()
            for _ in range(_TICKS_PER_LOAD):
                due = loop.time() + TICK_S
                await asyncio.sleep(TICK_S)
                self._admission.on_tick(max(0.0, (loop.time() - due) * 1000))
            core_share = (time.process_time() - used_s) / (loop.time() - began)
            helper_share = self._helper_share()
            self._admission.on_load(core_share / self._core, self._sessions)
            self._admission.on_helper_load(helper_share, self._conversations)
            _core_share.set(core_share)
            _helper_core_share.set(helper_share or 0.0)
            self._count_room()

    def _is_serving(self) -> bool:
        return self._state == "serving"

    def _room(self) -> int:
        """Two pools that claim at once may both see the same room; the gateways' reservations prevent that."""
        return max(1, self._promised() - self._sessions)

    def _capacity(self) -> int:
        return self._admission.capacity(self._sessions, self._conversations)

    def _promised(self) -> int:
        """The capacity, or what was reported of late: gateways have let callers in by that, who wait for us now."""
        return max(self._capacity(), *self._reported, 0)

    def _count_room(self) -> None:
        _capacity.set(self._capacity())
        takes = self._shown_state == "serving" and self._sessions < self._promised()
        _switch(self._has_room, takes or self._state != "serving")
        _switch(self._is_idle, self._sessions == 0)

    def _on_wish(self, wish: Wish) -> None:
        """The operator's wish. Undone in time, it keeps the sessions that no other worker has taken."""
        self._count_room()
        if wish != "moving" and self._state == "serving":
            self._host.stay()

    @property
    def _shown_state(self) -> WorkerState:
        return "draining" if self._state == "serving" and self._heartbeat.wish != "serving" else self._state

    def _report(self) -> WorkerReport:
        capacity = self._capacity()
        self._reported.append(capacity)
        return WorkerReport(
            worker_id=self._id,
            kind="pipeline",
            state=self._shown_state,
            sessions=self._sessions,
            capacity=capacity,
            pool=",".join(self._settings.pools),
            zone=self._settings.zone,
        )

    def _not_ready(self) -> str | None:
        return self._heartbeat.not_ready() if self._shown_state == "serving" else self._shown_state

    async def _drain(self, claiming: list[asyncio.Task[None]]) -> None:
        """Claim no more; let running sessions finish, or go to other workers, until the drain timeout."""
        deadline = asyncio.get_running_loop().time() + self._settings.drain_timeout_s
        self._state = "draining"
        self._count_room()
        log.info("pipeline_worker_draining", sessions=self._sessions)
        try:
            await self._heartbeat.announce()
        except BROKER_FAILURES as error:
            log.warning("drain_not_announced", error=str(error))
        await asyncio.wait(claiming)  # or the sessions that leave would come back
        await self._host.drain(max(0.0, deadline - asyncio.get_running_loop().time()))
        if not await self._idle_within(_CLOSE_S):
            log.warning("sessions_left_behind", sessions=self._sessions)

    async def _idle_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()
        except TimeoutError:
            return False
        return True

    async def _withdraw(self) -> None:
        await self._outbox.close()
        try:
            await self._heartbeat.withdraw()
        except BROKER_FAILURES as error:
            log.warning("not_withdrawn", error=str(error))


def _switch(event: asyncio.Event, on: bool) -> None:
    if on:
        event.set()
    else:
        event.clear()
