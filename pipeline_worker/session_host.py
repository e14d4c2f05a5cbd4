"""The sessions of this process. A failure of one does not affect the others."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Counter, Gauge

from pipeline_worker.media_link import MediaLink, Send
from pipeline_worker.script_batch import ScriptBatch
from pipeline_worker.session_opening import OpenEngines, OpenToolbox, SessionOpening
from pipeline_worker.settings import PipelineSettings
from pipeline_worker.telemetry.session_trace import SessionTrace
from shared import keys
from shared.agent import AgentDefinition
from shared.errors import AntiphonError, leaves
from shared.events import EventsMissed, MediaAttached, SessionClosed, StartPipeline
from shared.frames import AudioFrame, SilenceRun
from shared.io.broker import Redis
from shared.io.fault import fault
from shared.io.inbox import Received
from shared.io.logs import get_logger
from shared.liveness import Liveness
from shared.wire import Item

_CONNECTING_S = 15.0
"""The caller was connected before a worker was asked for. No answer means that the media worker has ended, or has
another pipeline worker."""
_PREDECESSOR_S = 2.0
_LEAVING_S = 3.0
"""Sessions leave this long before the deadline of a drain, even in the middle of a turn."""
_ENDED_REMEMBERED = 100
_sessions = Gauge("antiphon_pipeline_sessions", "Sessions that run in this pipeline worker")
_taken_over = Counter(
    "antiphon_pipeline_takeovers_total", "Sessions that this worker carried on after another pipeline worker"
)
_ended = Counter("antiphon_pipeline_sessions_ended_total", "Sessions that have ended, by how", ["how"])
_unknown = Counter("antiphon_pipeline_unknown_session_total", "Items for sessions that do not run here")

_AUDIO = frozenset({AudioFrame, SilenceRun})
"""Compared by type, because `isinstance` of pydantic's models is slow."""

log = get_logger()


class Session(Protocol):
    async def run(self) -> None: ...

    def receive(self, item: Item) -> None: ...

    def end(self, reason: str) -> None: ...

    @property
    def uplink_from(self) -> int | None: ...

    def suspend(self, unreachable: bool) -> None: ...

    def on_messages_lost(self) -> None: ...

    def leave(self, at_once: bool = False) -> None: ...

    def stay(self) -> None: ...


Touch = Callable[[str], None]
"""Shows the owner of an inbox that we are alive. Takes the inbox's key, as `shared.io.outbox.Outbox.touch` does."""


@dataclass
class _Hosted:
    session: Session
    link: MediaLink
    silent_since: float
    heard: bool = False
    suspended: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class SessionHost:
    """`liveness` knows which media workers are silent, and whether we can hear them at all."""

    def __init__(
        self,
        worker_id: str,
        settings: PipelineSettings,
        agents: Mapping[str, AgentDefinition],
        open_engines: OpenEngines,
        open_toolbox: OpenToolbox,
        broker: Redis,
        send: Send,
        touch: Touch,
        liveness: Liveness,
    ) -> None:
        self._worker_id = worker_id
        self._settings = settings
        self._opening = SessionOpening(settings, agents, open_engines, open_toolbox, ScriptBatch(broker))
        self._send = send
        self._touch = touch
        self._liveness = liveness
        self._hosted: dict[str, _Hosted] = {}
        self._ended: dict[str, MediaLink] = {}
        """The last sessions that ended here: their media worker may not have got the message."""
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def refusal(self, request: StartPipeline) -> str | None:
        """Why this session cannot run here, or None."""
        if request.agent_id not in self._opening.agents:
            return f"unknown agent {request.agent_id}"
        hosted = self._hosted.get(request.session)
        if hosted is not None and hosted.link.epoch >= request.epoch:
            return "runs here already"
        return None

    async def run(self, request: StartPipeline) -> None:
        """Run one session from start to end. Raises nothing."""
        link = MediaLink(
            self._send, request.media_worker, request.session, request.epoch, generation=request.generation
        )
        hosted: _Hosted | None = None
        trace: SessionTrace | None = None
        how = "finished"
        try:
            if (claimed := await self._opening.claim(request)) is None:
                how = "not taken over"
                return
            await self._replace_own(request)
            if self.refusal(request) is not None:
                how = "not taken over"
                return
            trace = SessionTrace(self._opening.agents[request.agent_id], request, time.time())
            session: Session = self._opening.open(request, link, claimed, trace.turn)
            hosted = _Hosted(session, link, asyncio.get_running_loop().time())
            self._hosted[request.session] = hosted
            self._count()
            _taken_over.inc(request.resumed)
            self._liveness.expect(request.media_worker)
            link.attach(self._worker_id, session.uplink_from)
            log.info(
                "session_started",
                session_id=link.session,
                agent_id=request.agent_id,
                epoch=link.epoch,
                resumed=request.resumed,
            )
            await session.run()
        except Exception as error:  # noqa: BLE001 - ends this session only; it is logged without its text
            how = "failed"
            log.error("session_failed", session_id=link.session, error=fault(error))
            if hosted is not None:
                _tell_failure(link, error)
            elif not request.resumed:  # else the media worker asks another worker
                link.attach(self._worker_id)  # only the attached worker may end a session
                _tell_failure(link, error)
        finally:
            if hosted is not None:
                hosted.over.set()
                if self._hosted.get(request.session) is hosted:
                    del self._hosted[request.session]
            if link.has_ended:
                self._remember_end(link)
            self._count()
            _ended.labels(how).inc()
            if trace is not None:
                trace.end(time.time(), how)
            log.info("session_freed", session_id=link.session, how=how)

    def dispatch(self, received: Received) -> None:
        """Hand each item of a batch to its session, if it comes from the session's media worker."""
        now = asyncio.get_running_loop().time()
        sender = received.sender
        if received.follows_gap:
            for gapped in [hosted for hosted in self._hosted.values() if hosted.link.media_worker == sender]:
                try:
                    gapped.session.on_messages_lost()
                except Exception as error:  # noqa: BLE001 - ends this session only; `_fail` logs it
                    self._fail(gapped, error)
        for item in received.items:
            hosted = self._hosted.get(item.session)
            if hosted is None:
                self._refuse(item, sender)
                continue
            # Hot path: almost all items are audio.
            is_audio = type(item) in _AUDIO
            if not (sender == hosted.link.media_worker if is_audio else self._admits(hosted, item, sender)):
                continue
            hosted.silent_since, hosted.heard = now, True
            try:
                hosted.session.receive(item)
            except Exception as error:  # noqa: BLE001 - ends this session only; `_fail` logs it
                self._fail(hosted, error)

    def _refuse(self, item: Item, sender: str) -> None:
        """Its session does not run here."""
        _unknown.inc()
        if isinstance(item, EventsMissed) and item.session in self._ended:
            self._ended[item.session].repeat(item.published)
        elif isinstance(item, MediaAttached | EventsMissed):
            # It would wait for us until its caller hangs up.
            self._send(keys.inbox("media", sender), SessionClosed(session=item.session, reason="session_gone"))

    def _admits(self, hosted: _Hosted, item: Item, sender: str) -> bool:
        """Whether the session gets this message. Also of another media worker than the session's if that one attaches,
        or tells that another pipeline worker has the session."""
        if isinstance(item, MediaAttached):
            if not hosted.link.move_to(item):
                return False
            log.info("media_worker_changed", session_id=item.session, media_worker=item.media_worker)
            self._liveness.expect(item.media_worker)
            hosted.suspended = False
            return True
        if isinstance(item, SessionClosed) and item.reason == "replaced":
            return item.epoch in (0, hosted.link.epoch)  # or else we have attached again since
        return sender == hosted.link.media_worker

    def tend(self) -> None:
        """Call every `TOUCH_INTERVAL_S`: tells media workers that we live, and looks which of them do."""
        now = asyncio.get_running_loop().time()
        deaf = self._liveness.is_deaf(now)
        for media_worker in {hosted.link.media_worker for hosted in self._hosted.values()}:
            self._touch(keys.inbox("media", media_worker))
        for hosted in list(self._hosted.values()):
            self._watch(hosted, now, deaf)

    async def drain(self, timeout_s: float) -> None:
        """Hands sessions over between their turns, or shortly before the time is up. Ends those that nobody takes."""
        margin_s = min(_LEAVING_S, timeout_s / 2)
        self.leave()
        if not await self._idle_within(timeout_s - margin_s):
            self.leave(at_once=True)
            if not await self._idle_within(margin_s):
                log.warning("sessions_cut_by_drain", sessions=len(self._hosted))
                self.end_all("server_shutdown")

    def leave(self, at_once: bool = False) -> None:
        """Hands each session over between its turns, or `at_once`."""
        for hosted in list(self._hosted.values()):
            hosted.session.leave(at_once)

    def stay(self) -> None:
        """Keeps the sessions that no other worker has taken yet."""
        for hosted in list(self._hosted.values()):
            hosted.session.stay()

    def end_all(self, reason: str) -> None:
        for hosted in list(self._hosted.values()):
            hosted.session.end(reason)

    async def _idle_within(self, timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()
        return self._is_idle.is_set()

    def _remember_end(self, link: MediaLink) -> None:
        self._ended[link.session] = link
        if len(self._ended) > _ENDED_REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def _count(self) -> None:
        _sessions.set(len(self._hosted))
        if self._hosted:
            self._is_idle.clear()
        else:
            self._is_idle.set()

    def _watch(self, hosted: _Hosted, now: float, deaf: bool) -> None:
        media_worker = hosted.link.media_worker
        lost = self._liveness.is_lost(media_worker)
        if (deaf or lost) != hosted.suspended:
            hosted.suspended = deaf or lost
            log.info(
                "session_suspended" if hosted.suspended else "session_unsuspended",
                session_id=hosted.link.session,
                media_worker=media_worker,
                by="broker" if deaf else "media worker",
            )
            hosted.session.suspend(hosted.suspended)
        if deaf or lost:
            hosted.silent_since = now
        silent_s = self._liveness.silent_s(media_worker) if lost else now - hosted.silent_since
        if not hosted.heard and now - hosted.silent_since > _CONNECTING_S:
            log.warning("session_never_connected", session_id=hosted.link.session, media_worker=media_worker)
            hosted.session.receive(_replaced(hosted.link.session))
        elif silent_s > self._settings.pipeline_media_timeout_s:
            log.warning("media_worker_gone", session_id=hosted.link.session, media_worker=media_worker)
            hosted.session.end("media_worker_gone")

    async def _replace_own(self, request: StartPipeline) -> None:
        """The session may still run here under an earlier epoch: we were silent for so long that we seemed lost."""
        async with asyncio.timeout(_PREDECESSOR_S):
            while (earlier := self._hosted.get(request.session)) is not None and earlier.link.epoch < request.epoch:
                earlier.session.receive(_replaced(request.session))
                await earlier.over.wait()

    @staticmethod
    def _fail(hosted: _Hosted, error: Exception) -> None:
        """Ends this session only."""
        log.error("session_failed", session_id=hosted.link.session, error=fault(error))
        _tell_failure(hosted.link, error)
        hosted.session.end("pipeline_error")


def _replaced(session: str) -> SessionClosed:
    return SessionClosed(session=session, reason="replaced")


def _tell_failure(link: MediaLink, error: Exception) -> None:
    known = next((leaf for leaf in leaves(error) if isinstance(leaf, AntiphonError)), None)
    if known is not None:
        link.publish_failure(known)
    else:
        link.publish_error("pipeline_error", "the agent failed; please call again")
    link.end_session("pipeline_error")
