"""The sessions of this process: opens them, and hands each what others send to it. A failure of one harms no other.

A burst of offers must not delay the audio of running sessions. So an offer waits for its turn, and with it what
the gateway sends for the same session meanwhile.
"""

import asyncio
import contextlib
import gc
import time
from collections import deque
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from media_worker.core.admission import Admission
from media_worker.session import MediaContext, Session
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
from shared.io.inbox import Received
from shared.io.logs import get_logger

_RETRY_AFTER_MS = 2_000
_SESSIONS_REMEMBERED = 200
"""That have moved, and that have ended: their pipeline workers or clients may not have heard of it."""
_COLLECT_AFTER = 20
"""Ended sessions per collection: aiortc's transports are cycles whose OpenSSL memory the collector does not count."""
_MOST_WAITING_MESSAGES = 20
"""Of one session. A gateway sends two or three before its offer is answered."""
_LEAVE_INTERVAL_S = 0.02
"""Between two requests to leave: each makes work for another media worker."""
_OF_A_GATEWAY = (OpenSession, CloseSession, UpdateOffer, GatewayAttached, GatewayDetached)

_carried = Gauge("antiphon_media_sessions", "Sessions that this process carries")
_opened = Counter("antiphon_media_sessions_opened_total", "Sessions opened")
_ended = Counter("antiphon_media_sessions_ended_total", "Sessions ended", ["reason"])
_refused = Counter("antiphon_media_offers_refused_total", "Offers refused", ["code"])
_strays = Counter("antiphon_media_stray_messages_total", "Messages for sessions that are not here")

log = get_logger()


class SessionHost:
    """`run` opens sessions and owns their tasks. `on_opened` gets the id of each."""

    def __init__(
        self,
        context: MediaContext,
        admission: Admission,
        is_draining: Callable[[], bool],
        on_opened: Callable[[str], None],
    ) -> None:
        self._context = context
        self._outbox = context.outbox
        self._admission = admission
        self._is_draining = is_draining
        self._on_opened = on_opened
        self._complexity = context.settings.media_complexity
        self.sessions: dict[str, Session] = {}
        self._waiting: dict[str, list[tuple[Message, str, float]]] = {}
        """Offers whose turn has not come, by session, each with what came after it: message, sender, Unix time."""
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._tasks: asyncio.TaskGroup | None = None
        self._uncollected = 0
        self._moved: deque[str] = deque(maxlen=_SESSIONS_REMEMBERED)
        self._over: deque[str] = deque(maxlen=_SESSIONS_REMEMBERED)

    async def run(self) -> None:
        """Until cancelled, which ends the sessions that are left."""
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await self._context.pacer.turn()
                    session = next(iter(self._waiting))
                    for message, sender, came_s in self._waiting.pop(session):
                        try:
                            self._take(message, sender, came_s)
                        except Exception:  # noqa: BLE001 - one session's failure must not end the others; `_fail` logs it
                            self._fail(session)

    def dispatch(self, received: Received) -> None:
        """Hand each item of a batch to its session."""
        sender = received.sender
        if received.follows_gap:
            now = asyncio.get_running_loop().time()
            self._each(lambda session: session.agent.on_gap(sender, now))
        for item in received.items:
            try:
                if type(item) is AudioFrame:
                    if (talking := self.sessions.get(item.session)) is not None:
                        talking.on_frame(item, sender)
                elif isinstance(item, Message) and not self._waits(item, sender):
                    self._take(item, sender)
            except Exception:  # noqa: BLE001 - one session's failure must not end the others; `_fail` logs it
                self._fail(item.session)

    def tend(self, now: float) -> None:
        """Look after all sessions. Call it a few times a second."""
        self._each(lambda session: session.tend(now))

    @property
    def correspondents(self) -> set[str]:
        """Keys of the inboxes of all pipeline workers and gateways that the sessions talk to."""
        return {inbox for session in self.sessions.values() for inbox in session.correspondents if inbox}

    def set_complexity(self, complexity: int) -> None:
        """Of the encoders."""
        self._complexity = complexity
        self._each(lambda session: session.set_complexity(complexity))

    def on_superseded(self, session_id: str) -> None:
        """Another media worker has the session since."""
        if session_id in self.sessions:
            self.sessions[session_id].close("moved")

    async def ask_to_leave(self, timeout_s: float) -> None:
        """Ask the clients, one after another, to move their sessions within that time."""
        leave_by_s = asyncio.get_running_loop().time() + timeout_s
        asked = list(self.sessions)
        for session_id in asked:
            self._each(lambda session: session.go_away(leave_by_s), session_id)
            await asyncio.sleep(min(_LEAVE_INTERVAL_S, timeout_s / 4 / len(asked)))

    def let_stay(self) -> None:
        """The clients need not move their sessions any more."""
        self._each(Session.stay)

    def close_all(self, reason: str) -> None:
        for session in self.sessions.values():
            session.close(reason)

    async def until_empty(self, timeout_s: float) -> bool:
        """Wait until all sessions have ended. False if some are left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        return not self.sessions

    def _each(self, act: Callable[[Session], None], *only: str) -> None:
        for session_id in only or list(self.sessions):
            if (session := self.sessions.get(session_id)) is not None:
                try:
                    act(session)
                except Exception:  # noqa: BLE001 - one session's failure must not end the others; `_fail` logs it
                    self._fail(session_id)

    def _fail(self, session_id: str) -> None:
        log.exception("session_failed", session_id=session_id)
        if session_id in self.sessions:
            self.sessions[session_id].close("internal")

    def _waits(self, message: Message, sender: str) -> bool:
        """Whether the message has to wait: it is an offer, or follows one that waits."""
        waiting = self._waiting.get(message.session)
        if waiting is None and isinstance(message, OpenSession):
            if len(self._waiting) >= self._admission.capacity(len(self.sessions)):
                self._refuse(message, "no_capacity", "too many offers wait here", _RETRY_AFTER_MS)
                return True
            waiting = self._waiting[message.session] = []
            self._arrived.set()
        if waiting is None or not isinstance(message, _OF_A_GATEWAY):
            return False
        if len(waiting) < _MOST_WAITING_MESSAGES:
            waiting.append((message, sender, time.time()))
        else:
            _strays.inc()
        return True

    def _take(self, message: Message, sender: str, came_s: float | None = None) -> None:
        if isinstance(message, OpenSession):
            self._open(message, came_s)
            return
        session = self.sessions.get(message.session)
        if session is None:
            _strays.inc()
            self._answer_stray(message, sender)
            return
        match message:
            case PipelineMessage():
                session.agent.on_message(message, sender)
            case CloseSession(reason=reason, generation=generation):
                if not generation or session.generation < generation:
                    session.close(reason)
            case UpdateOffer():
                self._update(session, message)
            case GatewayAttached():
                session.attach_gateway(message)
            case GatewayDetached(gateway=gateway):
                session.detach_gateway(gateway)
            case SessionClosed():
                session.agent.on_gone(sender, asyncio.get_running_loop().time())

    def _answer_stray(self, message: Message, sender: str) -> None:
        match message:
            case PipelineAttached(session=session, pipeline_worker=worker, epoch=epoch):
                # The session ended, or moved, before its pipeline worker attached. Telling the worker frees its slot.
                reason = "replaced" if session in self._moved else "session_gone"
                closed = SessionClosed(session=session, reason=reason, epoch=epoch)
                self._outbox.send(keys.inbox("pipeline", worker), closed)
            case CloseSession(session=session, reason="moved") if session in self._over:
                # It had ended here when it moved, and its record was not deleted yet.
                self._outbox.send(keys.inbox("media", sender), CloseSession(session=session))

    def _open(self, opening: OpenSession, came_s: float | None) -> None:
        resume, before = opening.resume, self.sessions.get(opening.session)
        if before is not None and (resume is None or resume.generation <= before.generation):
            return  # a repeated message; the session is being answered already
        if before is None and resume is not None and opening.session in self._over:
            self._refuse(opening, "resume_refused", "the session has ended")
            return
        others = len(self.sessions) - (before is not None)
        refusal = self._admission.refusal(others, self._is_draining())
        if refusal is not None:
            self._refuse(opening, "no_capacity", f"this media worker is {refusal}", _RETRY_AFTER_MS)
            return
        try:
            session = Session(opening, self._context, came_s)
        except OfferError as error:
            self._refuse(opening, error.code, error.message)
            return
        assert self._tasks is not None, "`run` has begun"
        if before is not None:
            before.close("moved")
        session.set_complexity(self._complexity)
        self.sessions[session.id] = session
        self._empty.clear()
        _opened.inc()
        _carried.set(len(self.sessions))
        self._tasks.create_task(self._live(session), name=f"session {session.id}")
        self._on_opened(session.id)
        answered = OfferAnswered(session=session.id, sdp=session.answer())
        self._outbox.send(keys.inbox("gateway", opening.gateway), answered)

    def _refuse(self, opening: OpenSession, code: str, message: str, retry_after_ms: int | None = None) -> None:
        _refused.labels(code).inc()
        refused = OfferRefused(session=opening.session, code=code, message=message, retry_after_ms=retry_after_ms)
        self._outbox.send(keys.inbox("gateway", opening.gateway), refused)

    async def _live(self, session: Session) -> None:
        try:
            reason = await session.run()
            _ended.labels(reason).inc()
            if reason == "moved":
                self._moved.append(session.id)
            elif session.is_over:
                self._over.append(session.id)
            log.info("session_ended", session_id=session.id, reason=reason)
        except Exception:  # one session's failure must not end the others
            _ended.labels("internal").inc()
            log.exception("session_broken", session_id=session.id)
        finally:
            if self.sessions.get(session.id) is session:  # not if the client has come back with a new connection
                del self.sessions[session.id]
            _carried.set(len(self.sessions))
            if not self.sessions:
                self._empty.set()
        self._uncollected += 1
        if self._uncollected >= _COLLECT_AFTER:
            self._uncollected = 0
            gc.collect()  # takes a few milliseconds, because the objects of start-up are frozen

    def _update(self, session: Session, message: UpdateOffer) -> None:
        reply: OfferAnswered | OfferRefused
        try:
            reply = OfferAnswered(
                session=session.id, sdp=session.update(message.sdp), offer_number=message.offer_number
            )
        except OfferError as error:
            _refused.labels(error.code).inc()
            reply = OfferRefused(
                session=session.id,
                code=error.code,
                message=error.message,
                final=False,
                offer_number=message.offer_number,
            )
        self._outbox.send(keys.inbox("gateway", message.gateway), reply)
