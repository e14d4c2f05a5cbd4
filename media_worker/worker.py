"""The media worker process: wires what its sessions share, reports its capacity, and drains."""

import asyncio
import math
import os
import socket
import time
from collections.abc import Awaitable

from prometheus_client import Gauge

from media_worker import opus, peer
from media_worker.core.admission import Admission
from media_worker.pacer import Pacer
from media_worker.peer import Certificate
from media_worker.pipeline_jobs import PipelineJobs
from media_worker.public_address import open_port
from media_worker.session import MediaContext
from media_worker.session_host import SessionHost
from media_worker.session_index import SessionIndex
from media_worker.session_store import SessionStore
from media_worker.settings import MediaSettings
from media_worker.slot_clock import SlotClock
from shared import keys
from shared.ids import new_worker_id
from shared.io import broker
from shared.io.build import own_version
from shared.io.heartbeat import Heartbeat
from shared.io.inbox import Inbox
from shared.io.logs import get_logger, name_process
from shared.io.outbox import Outbox
from shared.io.probes import serve_probes
from shared.io.processor import core_speed, usable_cores
from shared.io.service import settle_memory
from shared.io.tracing import open_tracer, tracing
from shared.liveness import TOUCH_INTERVAL_S
from shared.worker_report import Wish, WorkerReport, WorkerState

_LOAD_INTERVAL_S = 1.0
_STOP_DEADLINE_S = 3.0
_TEND_INTERVAL_S = TOUCH_INTERVAL_S / 2


_capacity = Gauge("antiphon_media_capacity_sessions", "Sessions that this process estimates it can serve")

log = get_logger()


class MediaWorker:
    """`run` serves until `stop` is set, then ends its sessions and removes its keys."""

    def __init__(self, settings: MediaSettings) -> None:
        self.id = new_worker_id("m", socket.gethostname())
        self.host: SessionHost | None = None
        """None before it serves."""
        self._settings = settings
        self._redis = broker.connect(settings.redis_url)
        self._blocking = broker.connect_blocking(settings.redis_url)
        self._core = min(1.0, usable_cores())
        self._admission = Admission(settings.media_capacity, core_speed() * self._core)
        self._state: WorkerState = "starting"
        self._heartbeat = Heartbeat(self._redis, self._report, on_wish=self._on_wish)
        self._opened: list[str] = []
        """Sessions that take a slot which is still reserved for them."""
        self._has_opened = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._asking: asyncio.Task[None] | None = None
        """Asks the clients to move their sessions, because the operator wants it."""

    async def run(self, stop: asyncio.Event) -> None:
        """Raises `BrokerError` or `ConfigError` if it cannot start."""
        name_process(worker_id=self.id)
        try:
            async with tracing(open_tracer(self._settings.otel_endpoint, "media-worker", self.id)):
                await self._serve(stop)
        finally:
            await self._redis.aclose()
            await self._blocking.aclose()

    async def _serve(self, stop: asyncio.Event) -> None:
        settings = self._settings
        await broker.check_broker(self._redis, settings.redis_url)
        opus.flush_to_zero()
        opus_version = opus.self_test()
        await peer.self_test()
        port = await open_port(settings)
        clock = SlotClock(self._admission.on_slot, port.send_queued)
        inbox = Inbox(self._blocking, keys.inbox("media", self.id))
        outbox = Outbox(self._redis, self.id)
        store = SessionStore(
            self._redis, lambda session: host.on_superseded(session), settings.conversation_retention_s
        )
        index = SessionIndex(self._redis, self.id)
        jobs = PipelineJobs(self._redis, settings.zone)
        context = MediaContext(
            worker_id=self.id,
            settings=settings,
            port=port,
            clock=clock,
            outbox=outbox,
            certificate=Certificate.generate(),
            pacer=Pacer(),
            liveness=inbox.liveness,
            store=store,
            session_index=index,
            jobs=jobs,
        )
        host = self.host = SessionHost(
            context, self._admission, lambda: self._shown_state == "draining", self._on_opened
        )
        port.start()
        clock.start()
        settle_memory()
        services = [
            outbox.run(),
            self._heartbeat.run(),
            self._watch_load(host),
            self._read(inbox, host),
            store.run(),
            index.run(),
            jobs.run(),
            host.run(),
            self._tend(host, outbox),
            self._announce_opened(),
        ]
        if settings.probe_port:
            services.append(serve_probes(settings.probe_host, settings.probe_port, self._not_ready))
        try:
            async with asyncio.TaskGroup() as self._tasks:
                running = [self._tasks.create_task(service) for service in services]
                self._state = "serving"
                log.info(
                    "media_worker_ready",
                    worker_id=self.id,
                    version=own_version(),
                    udp_port=port.port,
                    opus=opus_version,
                    pid=os.getpid(),
                )
                await stop.wait()
                await self._drain(host)
                for task in running:
                    task.cancel()
        finally:
            clock.stop()
            port.close()
            await outbox.close()
            for last in (jobs.write(), store.write(), index.write(), self._heartbeat.withdraw()):
                await self._ignoring_broker(last)

    async def _read(self, inbox: Inbox, host: SessionHost) -> None:
        async for received in inbox:
            for batch in received:
                host.dispatch(batch)

    async def _tend(self, host: SessionHost, outbox: Outbox) -> None:
        """Looks after all sessions, and tells everybody whom they talk to that this process is alive."""
        clock = asyncio.get_running_loop().time
        touched_s = -math.inf
        while True:
            now = clock()
            host.tend(now)
            if now - touched_s >= TOUCH_INTERVAL_S:
                touched_s = now
                for inbox in host.correspondents:
                    outbox.touch(inbox)
            await asyncio.sleep(_TEND_INTERVAL_S)

    async def _watch_load(self, host: SessionHost) -> None:
        """Estimates the capacity, and lowers the encoder's complexity under load, rather than sending packets late."""
        clock = asyncio.get_running_loop().time
        complexity = self._settings.media_complexity
        while True:
            began_s, used_s = clock(), time.process_time()
            await asyncio.sleep(_LOAD_INTERVAL_S)
            core_share = (time.process_time() - used_s) / (clock() - began_s) / self._core
            self._admission.on_load(core_share, len(host.sessions), complexity)
            complexity = self._admission.complexity(self._settings.media_complexity, core_share)
            host.set_complexity(complexity)
            _capacity.set(self._capacity())

    def _on_opened(self, session: str) -> None:
        self._opened.append(session)
        self._has_opened.set()

    async def _announce_opened(self) -> None:
        """Ends the reservations of opened sessions, with one report for those that came together."""
        while True:
            await self._has_opened.wait()
            self._has_opened.clear()
            opened, self._opened = self._opened, []
            reservations = (keys.reservations("media", self.id), *opened)
            await self._ignoring_broker(self._heartbeat.announce(placed=reservations))

    def _on_wish(self, wish: Wish) -> None:
        """The operator's. Nothing is cut: a client that does not move its session keeps it here."""
        if self._state != "serving" or self.host is None or self._tasks is None:
            return
        self._stop_asking()
        if wish == "moving":
            self._asking = self._tasks.create_task(self.host.ask_to_leave(self._settings.drain_timeout_s))
        else:
            self.host.let_stay()

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    async def _drain(self, host: SessionHost) -> None:
        """Take no more sessions, ask the clients of the running ones to move them, and end those that are left."""
        self._state = "draining"
        self._stop_asking()
        ends_s = asyncio.get_running_loop().time() + self._settings.drain_timeout_s
        await self._ignoring_broker(self._heartbeat.announce())
        await host.ask_to_leave(self._settings.drain_timeout_s)
        await host.until_empty(ends_s - asyncio.get_running_loop().time())
        host.close_all("worker_stopped")
        if not await host.until_empty(_STOP_DEADLINE_S):
            log.warning("sessions_left_at_stop", sessions=len(host.sessions))

    @staticmethod
    async def _ignoring_broker(command: Awaitable[object]) -> None:
        """For commands that may fail: leases and session keys expire by themselves."""
        try:
            await command
        except broker.BROKER_FAILURES as error:
            log.warning("broker_command_failed", error=str(error))

    @property
    def _shown_state(self) -> WorkerState:
        return "draining" if self._state == "serving" and self._heartbeat.wish != "serving" else self._state

    @property
    def _sessions(self) -> int:
        return len(self.host.sessions) if self.host is not None else 0

    def _capacity(self) -> int:
        return self._admission.capacity(self._sessions)

    def _report(self) -> WorkerReport:
        return WorkerReport(
            worker_id=self.id,
            kind="media",
            state=self._shown_state,
            sessions=self._sessions,
            capacity=self._capacity(),
            zone=self._settings.zone,
        )

    def _not_ready(self) -> str | None:
        return self._heartbeat.not_ready() if self._shown_state == "serving" else self._shown_state


async def serve(settings: MediaSettings, stop: asyncio.Event) -> None:
    await MediaWorker(settings).run(stop)
