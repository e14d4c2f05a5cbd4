"""The media worker process: takes offers from its inbox, runs a session for each, and reports its capacity."""

import asyncio
import contextlib
import gc
import math
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable

from prometheus_client import Counter, Gauge

from media_worker import opus, peer
from media_worker.core.admission import Admission
from media_worker.peer import Certificate
from media_worker.pipeline_jobs import PipelineJobs
from media_worker.session import MediaContext, Session
from media_worker.session_index import SessionIndex
from media_worker.session_store import SessionStore
from media_worker.settings import MediaSettings
from media_worker.slot_clock import SlotClock
from media_worker.udp_port import UdpPort, detect_addresses
from shared import keys
from shared.errors import OfferError
from shared.events import (
    CloseSession,
    GatewayAttached,
    GatewayDetached,
    Message,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    PipelineAttached,
    PipelineMessage,
    SessionClosed,
    UpdateOffer,
)
from shared.frames import AudioFrame
from shared.ids import new_worker_id
from shared.io import broker
from shared.io.heartbeat import Heartbeat
from shared.io.inbox import Inbox
from shared.io.logs import get_logger
from shared.io.outbox import Outbox
from shared.io.probes import serve_probes
from shared.io.service import settle_memory
from shared.liveness import TOUCH_INTERVAL_S
from shared.wire import Item
from shared.worker_report import Wish, WorkerReport, WorkerState

_RETRY_AFTER_MS = 2_000
_LOAD_INTERVAL_S = 1.0
_STOP_DEADLINE_S = 3.0
_TEND_INTERVAL_S = TOUCH_INTERVAL_S / 2
_SESSIONS_REMEMBERED = 200
"""That have moved, and that have ended: their pipeline workers or clients may not have heard of it."""
_COLLECT_AFTER = 20
"""Ended sessions per collection: aiortc's transports are cycles whose OpenSSL memory the collector does not count."""

_sessions = Gauge("antiphon_media_sessions", "Sessions that this process carries")
_opened = Counter("antiphon_media_sessions_opened_total", "Sessions opened")
_ended = Counter("antiphon_media_sessions_ended_total", "Sessions ended", ["reason"])
_refused = Counter("antiphon_media_offers_refused_total", "Offers refused", ["code"])
_strays = Counter("antiphon_media_stray_messages_total", "Messages for sessions that are not here")

log = get_logger()


class MediaWorker:
    """`run` serves until `stop` is set, then ends its sessions and removes its keys."""

    def __init__(self, settings: MediaSettings) -> None:
        self.id = new_worker_id("m", socket.gethostname())
        self._settings = settings
        self._redis = broker.connect(settings.redis_url)
        self._blocking = broker.connect_blocking(settings.redis_url)
        self._sessions: dict[str, Session] = {}
        self._admission = Admission(settings.media_capacity)
        self._complexity = settings.media_complexity
        self._state: WorkerState = "starting"
        self._heartbeat = Heartbeat(self._redis, self._report, on_wish=self._on_wish)
        self._store = SessionStore(self._redis, self._on_superseded, settings.conversation_retention_s)
        self._index = SessionIndex(self._redis, self.id)
        self._jobs = PipelineJobs(self._redis)
        self._inbox = Inbox(self._blocking, keys.inbox("media", self.id))
        self._tasks: asyncio.TaskGroup | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._uncollected = 0
        self._moved: deque[str] = deque(maxlen=_SESSIONS_REMEMBERED)
        self._over: deque[str] = deque(maxlen=_SESSIONS_REMEMBERED)

    async def run(self, stop: asyncio.Event) -> None:
        """Raises `BrokerError` or `ConfigError` if it cannot start."""
        try:
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
        addresses = tuple(filter(None, (a.strip() for a in settings.public_ips.split(",")))) or detect_addresses()
        port = UdpPort(addresses, settings.udp_port)
        clock = SlotClock(self._admission.on_slot, port.send_queued)
        outbox = Outbox(self._redis, self.id)
        context = MediaContext(
            worker_id=self.id,
            settings=settings,
            port=port,
            clock=clock,
            outbox=outbox,
            certificate=Certificate.generate(),
            liveness=self._inbox.liveness,
            store=self._store,
            session_index=self._index,
            jobs=self._jobs,
        )
        port.start()
        clock.start()
        settle_memory()
        try:
            async with asyncio.TaskGroup() as services, asyncio.TaskGroup() as sessions:
                self._tasks = sessions
                background = [
                    services.create_task(outbox.run()),
                    services.create_task(self._heartbeat.run()),
                    services.create_task(self._adapt_complexity()),
                    services.create_task(self._read_inbox(context)),
                    services.create_task(self._store.run()),
                    services.create_task(self._index.run()),
                    services.create_task(self._jobs.run()),
                    services.create_task(self._tend(outbox)),
                ]
                if settings.probe_port:
                    background.append(
                        services.create_task(serve_probes(settings.probe_host, settings.probe_port, self._not_ready))
                    )
                self._state = "serving"
                log.info("media_worker_ready", worker=self.id, udp_port=port.port, opus=opus_version, pid=os.getpid())
                await stop.wait()
                await self._drain()
                for task in background:
                    task.cancel()
        finally:
            clock.stop()
            port.close()
            await outbox.close()
            for last in (self._jobs.write(), self._store.write(), self._index.write(), self._heartbeat.withdraw()):
                await self._ignoring_broker(last)

    async def _read_inbox(self, context: MediaContext) -> None:
        async for received in self._inbox:
            for batch in received:
                if batch.follows_gap:
                    for session in list(self._sessions.values()):
                        session.agent.on_gap(batch.sender, asyncio.get_running_loop().time())
                for item in batch.items:
                    try:
                        self._on_item(item, batch.sender, context)
                    except Exception:
                        # A failure of one session must not end the others.
                        log.exception("item_failed", session_id=item.session)
                        if item.session in self._sessions:
                            self._sessions[item.session].close("internal")

    def _on_item(self, item: Item, sender: str, context: MediaContext) -> None:
        if isinstance(item, AudioFrame):
            session = self._sessions.get(item.session)
            if session is not None:
                session.on_frame(item, sender)
        elif isinstance(item, Message):
            self._on_message(item, sender, context)

    def _on_message(self, message: Message, sender: str, context: MediaContext) -> None:
        if isinstance(message, OpenSession):
            self._open(message, context)
            return
        session = self._sessions.get(message.session)
        if session is None:
            _strays.inc()
            if isinstance(message, PipelineAttached):
                self._refuse_late_pipeline(message, context)
            elif isinstance(message, CloseSession) and message.reason == "moved" and message.session in self._over:
                # It had ended here when it moved, and its record was not deleted yet.
                context.outbox.send(keys.inbox("media", sender), CloseSession(session=message.session))
            return
        match message:
            case PipelineMessage():
                session.agent.on_message(message, sender)
            case CloseSession(reason=reason):
                session.close(reason)
            case UpdateOffer():
                self._update(session, message, context)
            case GatewayAttached():
                session.attach_gateway(message)
            case GatewayDetached(gateway=gateway):
                session.detach_gateway(gateway)
            case SessionClosed():
                session.agent.on_gone(sender, asyncio.get_running_loop().time())

    async def _tend(self, outbox: Outbox) -> None:
        """Looks after all sessions, and tells everybody whom they talk to that this process is alive."""
        clock = asyncio.get_running_loop().time
        touched_s = -math.inf
        while True:
            now = clock()
            touches = now - touched_s >= TOUCH_INTERVAL_S
            if touches:
                touched_s = now
            for session in list(self._sessions.values()):
                try:
                    session.tend(now)
                except Exception:
                    # A failure of one session must not end the others.
                    log.exception("session_not_tended", session_id=session.id)
                    session.close("internal")
                if touches:
                    for inbox in filter(None, session.correspondents):
                        outbox.touch(inbox)
            await asyncio.sleep(_TEND_INTERVAL_S)

    def _on_superseded(self, session_id: str) -> None:
        """Another media worker has the session since."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.close("moved")

    def _refuse_late_pipeline(self, message: PipelineAttached, context: MediaContext) -> None:
        """The session ended, or moved, before its pipeline worker attached. Telling the worker frees its slot."""
        reason = "replaced" if message.session in self._moved else "session_gone"
        closed = SessionClosed(session=message.session, reason=reason, epoch=message.epoch)
        context.outbox.send(keys.inbox("pipeline", message.pipeline_worker), closed)

    def _open(self, opening: OpenSession, context: MediaContext) -> None:
        gateway = keys.inbox("gateway", opening.gateway)
        before = self._sessions.get(opening.session)
        if before is not None and (opening.resume is None or opening.resume.generation <= before.generation):
            return  # a repeated message; the session is being answered already
        if before is None and opening.resume is not None and opening.session in self._over:
            _refused.labels("resume_refused").inc()
            refused = OfferRefused(session=opening.session, code="resume_refused", message="the session has ended")
            context.outbox.send(gateway, refused)
            return
        others = len(self._sessions) - (before is not None)
        refusal = self._admission.refusal(others, self._shown_state == "draining")
        if refusal is not None:
            _refused.labels("no_capacity").inc()
            context.outbox.send(
                gateway,
                OfferRefused(
                    session=opening.session,
                    code="no_capacity",
                    message=f"this media worker is {refusal}",
                    retry_after_ms=_RETRY_AFTER_MS,
                ),
            )
            return
        try:
            session = Session(opening, context)
        except OfferError as error:
            _refused.labels(error.code).inc()
            context.outbox.send(gateway, OfferRefused(session=opening.session, code=error.code, message=error.message))
            return
        assert self._tasks is not None
        if before is not None:
            before.close("moved")
        session.set_complexity(self._complexity)
        self._sessions[session.id] = session
        self._empty.clear()
        _opened.inc()
        _sessions.set(len(self._sessions))
        self._tasks.create_task(self._live(session), name=f"session {session.id}")
        reservation = (keys.reservations("media", self.id), session.id)
        self._tasks.create_task(self._ignoring_broker(self._heartbeat.announce(placed=reservation)))
        context.outbox.send(gateway, OfferAnswered(session=session.id, sdp=session.answer()))

    async def _live(self, session: Session) -> None:
        try:
            reason = await session.run()
            _ended.labels(reason).inc()
            if reason == "moved":
                self._moved.append(session.id)
            elif session.is_over:
                self._over.append(session.id)
            log.info("session_ended", session_id=session.id, reason=reason)
        except Exception:
            # A failure of one session must not end the others.
            _ended.labels("internal").inc()
            log.exception("session_broken", session_id=session.id)
        finally:
            if self._sessions.get(session.id) is session:  # not if the client has come back with a new connection
                del self._sessions[session.id]
            _sessions.set(len(self._sessions))
            if not self._sessions:
                self._empty.set()
        self._uncollected += 1
        if self._uncollected >= _COLLECT_AFTER:
            self._uncollected = 0
            gc.collect()  # takes a few milliseconds, because the objects of start-up are frozen

    def _update(self, session: Session, message: UpdateOffer, context: MediaContext) -> None:
        gateway = keys.inbox("gateway", message.gateway)
        number = message.offer_number
        reply: OfferAnswered | OfferRefused
        try:
            reply = OfferAnswered(session=session.id, sdp=session.update(message.sdp), offer_number=number)
        except OfferError as error:
            _refused.labels(error.code).inc()
            reply = OfferRefused(
                session=session.id, code=error.code, message=error.message, final=False, offer_number=number
            )
        context.outbox.send(gateway, reply)

    async def _adapt_complexity(self) -> None:
        """Lowers the encoder's complexity under load, rather than sending packets late."""
        used_s = time.process_time()
        while True:
            await asyncio.sleep(_LOAD_INTERVAL_S)
            core_share, used_s = (time.process_time() - used_s) / _LOAD_INTERVAL_S, time.process_time()
            self._complexity = self._admission.complexity(self._settings.media_complexity, core_share)
            for session in self._sessions.values():
                session.set_complexity(self._complexity)

    def _on_wish(self, wish: Wish) -> None:
        """The operator's. Nothing is cut: a client that does not move its session keeps it here."""
        if self._state != "serving":
            return
        for session in self._sessions.values():
            if wish == "moving":
                session.go_away(round(self._settings.drain_timeout_s * 1000))
            else:
                session.stay()

    async def _drain(self) -> None:
        """Take no more sessions, ask the clients of the running ones to move them, and end those that are left."""
        timeout_s = self._settings.drain_timeout_s
        self._state = "draining"
        await self._ignoring_broker(self._heartbeat.announce())
        for session in self._sessions.values():
            session.go_away(round(timeout_s * 1000))
        await self._until_empty(timeout_s)
        for session in self._sessions.values():
            session.close("worker_stopped")
        if not await self._until_empty(_STOP_DEADLINE_S):
            log.warning("sessions_left_at_stop", sessions=len(self._sessions))

    async def _until_empty(self, timeout_s: float) -> bool:
        """Wait until all sessions have ended. False if some are left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        return not self._sessions

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

    def _report(self) -> WorkerReport:
        return WorkerReport(
            worker_id=self.id,
            kind="media",
            state=self._shown_state,
            sessions=len(self._sessions),
            capacity=self._settings.media_capacity,
            zone=self._settings.zone,
        )

    def _not_ready(self) -> str | None:
        return self._heartbeat.not_ready() if self._shown_state == "serving" else self._shown_state


async def serve(settings: MediaSettings, stop: asyncio.Event) -> None:
    await MediaWorker(settings).run(stop)
