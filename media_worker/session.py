"""One caller's session: connects the transport, the audio both ways, the pipeline link and the event channel."""

import asyncio
import secrets
from typing import NamedTuple

from media_worker.agent_audio import AgentAudio
from media_worker.agent_side import AgentSide
from media_worker.caller_messages import CallerMessages
from media_worker.caller_path import CallerPath, discard
from media_worker.core.ice_lite import Credentials
from media_worker.core.lifetime import Lifetime
from media_worker.core.negotiation import Negotiation
from media_worker.core.path_selection import Path, Source
from media_worker.core.pipeline_guard import PipelineGuard
from media_worker.core.rate_limiter import TOO_MANY_MESSAGES
from media_worker.core.stun import BindingRequest
from media_worker.downlink import Downlink
from media_worker.event_channel import EventChannel
from media_worker.pacer import Pacer
from media_worker.peer import Certificate, Peer, PeerCallbacks, PeerFailed
from media_worker.pipeline_jobs import PipelineJobs
from media_worker.pipeline_link import PipelineCallbacks, PipelineLink
from media_worker.rtp_session import RtpSession
from media_worker.session_index import SessionIndex
from media_worker.session_record import SessionRecord
from media_worker.session_store import SessionStore
from media_worker.settings import MediaSettings
from media_worker.setup_meter import SetupMeter
from media_worker.slot_clock import SlotClock
from media_worker.srtp import SrtpCodec
from media_worker.udp_port import UdpPort
from media_worker.uplink import Uplink
from shared import keys
from shared.client_events import GoawayEvent, StatusEvent, StayEvent
from shared.errors import AntiphonError, leaves
from shared.events import NEVER_CONNECTED, CloseSession, GatewayAttached, OpenSession, SessionClosed, StartPipeline
from shared.frames import AudioFrame
from shared.io.heartbeat import wall_ms
from shared.io.logs import get_logger
from shared.io.outbox import Outbox
from shared.liveness import Liveness

_REPORT_TICKS = 125  # RTCP every 2.5 s
_COUNT_TICKS = 50

log = get_logger()


class MediaContext(NamedTuple):
    """What all sessions of a process share."""

    worker_id: str
    settings: MediaSettings
    port: UdpPort
    clock: SlotClock
    outbox: Outbox
    certificate: Certificate
    pacer: Pacer
    liveness: Liveness
    store: SessionStore
    session_index: SessionIndex
    jobs: PipelineJobs


class Session:
    """Created for an offer. `run` is its life and returns the reason of its end."""

    def __init__(self, opening: OpenSession, context: MediaContext, came_s: float | None = None) -> None:
        """`came_s`: when the offer was read, in Unix time. Raises `OfferError`; nothing is open then."""
        self.id: str = opening.session
        self._context = context
        self._ssrc = secrets.randbits(31) | 1
        self._negotiation = Negotiation(
            opening.sdp, context.certificate.sha256_fingerprint, context.port.addresses, self._ssrc
        )
        self._setup = SetupMeter(opening, came_s)
        created_ms, traceparent = opening.created_ms or wall_ms(), self._setup.traceparent
        opening = opening.model_copy(update={"created_ms": created_ms, "traceparent": traceparent})
        self._record = SessionRecord(opening, context.worker_id, context.store, context.session_index)
        resume = self._record.resume
        loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[str] = loop.create_future()
        self._leave_by_s = 0.0
        self.is_over = False
        """Whether it has ended, and does not go on elsewhere."""
        self._ticks = secrets.randbelow(_REPORT_TICKS)
        self._log = log.bind(session_id=self.id)
        settings = context.settings
        # Only a session that moves is older than its connection: the gateway's clock may be a minute off.
        age_s = max(0.0, wall_ms() / 1000 - opening.created_ms / 1000) if opening.resume else 0.0
        self._lifetime = Lifetime(
            loop.time(),
            opening.max_duration_s - age_s,
            settings.media_check_timeout_s,
            settings.media_silent_timeout_s,
            opening.survives_reload,
        )
        self._path = CallerPath(context.port, self, _new_credentials)
        self._pipeline = PipelineLink(
            PipelineGuard(
                settings.media_pipeline_timeout_s,
                settings.media_takeover_timeout_s,
                resume.pipeline_worker,
                resume.epoch,
            ),
            StartPipeline(
                session=self.id,
                agent_id=opening.agent_id,
                media_worker=context.worker_id,
                generation=resume.generation,
                pool=opening.pool,
                created_ms=opening.created_ms,
                max_duration_s=opening.max_duration_s,
                traceparent=traceparent,
            ),
            context.jobs,
            context.outbox,
            context.liveness,
            PipelineCallbacks(
                on_lost=lambda: self.agent.on_lost(),
                on_given_up=lambda code, why: self.agent.give_up(code, why),
                on_asked=self._setup.pipeline_asked,
                on_attached=self._setup.pipeline_attached,
            ),
        )
        self._uplink = Uplink(self.id, resume.epoch, self._pipeline.send_frame, settings.media_reorder_wait_ms / 1000)
        self._downlink = Downlink(
            self._ssrc,
            self._negotiation.payload_type,
            settings.media_cushion_ms,
            settings.media_bitrate,
            lambda *report: self.agent.report_playout(*report),
        )
        self._events = EventChannel(
            self.id,
            context.outbox,
            lambda text: self._peer.send_text(text),
            self._record.add_event,
            resume.seq,
            resume.published,
        )
        self._events.attach(opening.gateway)
        audio = AgentAudio(self._downlink, self.close)
        self.agent = AgentSide(self._pipeline, self._uplink, audio, self._events, self._record, self._setup, self.close)
        messages = CallerMessages(
            self.id, self._events, self._uplink, self._pipeline, lambda text: self._peer.send_text(text)
        )
        callbacks = PeerCallbacks(
            on_open=self._events.open,
            on_text=lambda text: messages.on_text(text, loop.time()),
            on_too_fast=lambda: self._events.publish("error", TOO_MANY_MESSAGES),
            on_closed=self._on_peer_closed,
        )
        fingerprints = self._negotiation.offer.audio.fingerprints
        self._peer = Peer(
            context.certificate, fingerprints, self._path.send, callbacks, session_id=self.id, pacer=context.pacer
        )
        self._rtp: RtpSession | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    def answer(self) -> str:
        """The SDP answer to the latest offer."""
        answer = self._negotiation.answer(self._path.credentials)
        self._setup.answered()
        return answer

    def update(self, sdp: str) -> str:
        """Answer a later offer of the same peer. Raises `OfferError`; nothing has changed then."""
        if self._negotiation.update(sdp, asyncio.get_running_loop().time()):
            self._path.restart()
            self._log.info("ice_restarted")
        self._route_agent_audio()
        return self.answer()

    async def run(self) -> str:
        """Connect, talk, end. Returns the reason of the end; everything that it opened is closed by then."""
        clock = self._context.clock
        self._record.begin()
        self._path.open()
        if self._record.opening.resume is None:
            self._events.publish("status", {"status": "connecting"})
        reason = "internal"
        try:
            async with asyncio.TaskGroup() as tasks:
                setup = tasks.create_task(self._connect())
                reason = await self._closed
                setup.cancel()
        except* AntiphonError as group:
            reason = next(leaf.code for leaf in leaves(group) if isinstance(leaf, AntiphonError))
            self._log.warning("session_failed", code=reason)
        finally:
            try:
                clock.leave(self)
                self._log.info("uplink_ended", **self._uplink.quality())
                await self._say_goodbye(reason)
            finally:
                await self._release(reason)
        return reason

    def close(self, reason: str) -> None:
        """End the session. Only the first reason counts."""
        if not self._closed.done():
            self._closed.set_result(reason)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._context.settings.media_connect_timeout_s):
                pair = await self._peer.connect()
        except TimeoutError:
            self.close("connect_timeout")
            return
        except PeerFailed as error:
            self.close(error.code)
            return
        if self._closed.done():
            return  # it must not take the session from the media worker, or the connection, that has it now
        now = asyncio.get_running_loop().time()
        codec = SrtpCodec(pair)
        self._rtp = RtpSession(codec, self._ssrc, self.id, self._negotiation.payload_type, self._uplink, self._downlink)
        self._downlink.connect(codec, secrets.randbits(15), secrets.randbits(32))
        self._uplink.begin(now)
        self._path.last_heard_s = now
        self._context.clock.join(self)
        self._log.info("caller_connected", generation=self.generation)
        self._setup.secured(has_pipeline=bool(self._record.resume.pipeline_worker))
        self._lead(now)
        data = self._negotiation.offer.data
        if data is not None:
            await self._peer.open_data(data.sctp_port or 5000, data.max_message_size)

    def _lead(self, now: float) -> None:
        """The session is here now. A media worker that had it before lets go of it."""
        self._record.leads = True
        if before := self._record.previous_media_worker:
            moved = CloseSession(session=self.id, reason="moved", generation=self.generation)
            self._context.outbox.send(keys.inbox("media", before), moved)
        self.agent.begin(self._context.worker_id, now)

    def _goes_on(self, reason: str) -> bool:
        """Whether only this peer connection is over: the session has moved, or its client may come back once more."""
        came_back = self._record.opening.resume is not None
        return reason == "moved" or (came_back and self._rtp is None and reason in NEVER_CONNECTED)

    async def _say_goodbye(self, reason: str) -> None:
        if not self._goes_on(reason):
            event: StatusEvent = {"status": "ended", "reason": reason}
            self._events.publish("status", event)
        self._count()
        if self._rtp is not None:
            self._rtp.send_bye(self._path.send)
        await asyncio.sleep(0)  # lets the data channel send its last message

    async def _release(self, reason: str) -> None:
        """Runs even if the goodbye failed, or the session would receive and decode until the process stops."""
        self._path.close()
        self._setup.ended(reason)
        self._events.send(SessionClosed(session=self.id, reason=reason))
        goes_on = self._goes_on(reason)
        self.agent.end("moved" if goes_on else reason)
        self.is_over = self._record.leads and not goes_on
        self._record.end(moved=goes_on, orphaned=not self._pipeline.guard.worker)
        await self._peer.close()

    def tend(self, now: float) -> None:
        """Called a few times a second: notices who is missing, and playout that stands still."""
        rtp = self._rtp
        if rtp is not None and rtp.said_bye:
            self._hang_up()
        is_deaf = self._context.liveness.is_deaf(now)
        reason = self._lifetime.over(now, self._path.last_heard_s, rtp is not None, is_deaf)
        if reason is not None:
            self.close(reason)
        elif rtp is not None and not self._lifetime.hung_up:
            self.agent.tend(now)

    def go_away(self, leave_by_s: float) -> None:
        """This process drains: the client should move the session by then."""
        self._leave_by_s = leave_by_s
        time_left_s = max(0.0, leave_by_s - asyncio.get_running_loop().time())
        event: GoawayEvent = {"timeLeftMs": round(time_left_s * 1000), "scope": "media", "reason": "draining"}
        self._events.publish("goaway", event)

    def stay(self) -> None:
        """The drain was undone: a client that has not moved the session yet need not do so."""
        if self._leave_by_s:
            self._leave_by_s = 0.0
            event: StayEvent = {"scope": "media"}
            self._events.publish("stay", event)

    @property
    def generation(self) -> int:
        """Counts the media workers of the session."""
        return self._record.resume.generation

    @property
    def correspondents(self) -> tuple[str, str]:
        """Keys of the inboxes of pipeline worker and gateway; empty for one that is missing."""
        return self._pipeline.inbox if self._rtp is not None else "", self._events.inbox

    # -- the gateway ---------------------------------------------------------------------------------------------

    def attach_gateway(self, message: GatewayAttached) -> None:
        """The client has come back with another WebSocket."""
        self._record.attach_gateway(message)
        self._events.attach(message.gateway)
        self.agent.save()
        if self._leave_by_s > asyncio.get_running_loop().time():
            self.go_away(self._leave_by_s)  # the client may have missed it

    def detach_gateway(self, gateway: str) -> None:
        """The client's WebSocket is gone. A caller who is connected stays."""
        if self._record.detach_gateway(gateway):
            if self._rtp is None:
                self.close("hangup" if self._record.opening.resume is None else "moved")
            self._events.detach()
            self.agent.save()

    # -- the caller ----------------------------------------------------------------------------------------------

    def on_check(self, request: BindingRequest, path: Path) -> None:
        selected = self._path.on_check(request, path, asyncio.get_running_loop().time())
        if selected is not None:
            self._on_path(selected, "nominated")

    def was_heard_at(self, path: Path, now: float) -> bool:
        return self._path.was_heard_at(path, now)

    def _on_path(self, selected: Path, reason: str) -> None:
        self._setup.path_found()
        self._route_agent_audio()
        self._log.info("path_selected", reason=reason)
        self._log.debug("path_address", address=f"{selected.source[0]}:{selected.source[1]}")

    def _route_agent_audio(self) -> None:
        self._downlink.set_sender(self._path.queue() if self._negotiation.offer.wants_agent else discard)

    def on_dtls(self, datagram: bytes) -> None:
        self._peer.on_datagram(datagram)

    def on_media(self, datagram: bytes, source: Source, now: float) -> None:
        if self._rtp is not None and self._rtp.on_media(datagram, now):
            selected = self._path.on_authentic(source, now)
            if selected is not None:
                self._on_path(selected, "authentic_packet")

    def tick(self, slot: int, now: float) -> None:
        """Called every 20 ms once the caller is connected."""
        self._uplink.tick(now)
        self._downlink.tick(slot)
        self._ticks += 1
        if self._ticks % _COUNT_TICKS == 0:
            self._count()
        if self._ticks % _REPORT_TICKS == 0 and self._rtp is not None:
            self._rtp.send_report(self._path.send, now)
            if (loss := self._rtp.loss.share) is not None:
                self._record.measure(loss_percent=round(100 * loss, 1))

    def _count(self) -> None:
        self._downlink.count()
        if self._rtp is not None:
            self._rtp.count()

    def _on_peer_closed(self, reason: str) -> None:
        if reason == "hangup":
            self._hang_up()
        else:
            self.close(reason)

    def _hang_up(self) -> None:
        self._lifetime.on_hangup(asyncio.get_running_loop().time())
        self._context.clock.leave(self)

    def set_complexity(self, complexity: int) -> None:
        self._downlink.set_complexity(complexity)

    # -- the pipeline worker -------------------------------------------------------------------------------------

    def on_frame(self, frame: AudioFrame, sender: str) -> None:
        """Agent audio."""
        if not self._pipeline.accepts(frame, sender):
            return
        try:
            began = self._downlink.push(frame)
            if began and self._downlink.may_send_in(self._context.clock.slot):
                self._context.clock.advance(self)
        except AntiphonError as error:
            self._log.warning("agent_audio_refused", code=error.code, error=error.message)


def _new_credentials() -> Credentials:
    return Credentials(secrets.token_hex(4), secrets.token_hex(16))
