"""One caller: wires its transport, its voice, its ear and its pipeline together. Decisions are the cores'."""

import asyncio
import json
import secrets
from collections import deque
from typing import Any, NamedTuple

from prometheus_client import Counter

from media_worker.caller_path import CallerPath, nowhere
from media_worker.core.control_messages import Interrupt, Mute, Ping, Talk, Text, parse_control
from media_worker.core.ice_lite import Credentials, Path
from media_worker.core.rate_limiter import TOO_MANY_MESSAGES, RateLimiter
from media_worker.core.sdp_answer import LocalMedia, write_answer
from media_worker.core.sdp_offer import parse_offer
from media_worker.core.stun import BindingRequest
from media_worker.downlink import Downlink
from media_worker.peer import Certificate, Peer, PeerFailed
from media_worker.rtp_session import RtpSession
from media_worker.settings import MediaSettings
from media_worker.slot_clock import SlotClock
from media_worker.udp_port import UdpPort
from media_worker.uplink import Uplink
from shared import keys
from shared.client_events import client_event
from shared.errors import AntiphonError, OfferError, PeerError
from shared.events import (
    AgentSpeechEnded,
    CallerConnected,
    ClientEventSent,
    EndSession,
    FlushPlayout,
    InterruptRequested,
    Message,
    MuteChanged,
    OpenSession,
    PausePlayout,
    PipelineAttached,
    PipelineMessage,
    PlayoutReported,
    PublishEvent,
    ResumePlayout,
    SessionClosed,
    TalkChanged,
    TextReceived,
)
from shared.frames import AudioFrame, SilenceRun
from shared.io.logs import get_logger
from shared.io.outbox import Outbox

_EVENTS_KEPT = 100
_FRAMES_KEPT = 100  # two seconds of the caller's voice, until a pipeline worker has come
_TEXTS_PER_S, _TEXTS_AT_ONCE = 1, 10
"""Each is a question to a language model, which somebody pays."""
_REPORT_TICKS = 125  # RTCP every 2.5 s
_CHECK_TICKS = 50

_stale = Counter("antiphon_media_stale_epoch_total", "Messages of a pipeline worker that was replaced")
_control_errors = Counter("antiphon_media_control_errors_total", "Bad messages on data channels", ["code"])
_unknown_control = Counter("antiphon_media_control_unknown_total", "Messages of unknown type on data channels")

log = get_logger()


class MediaContext(NamedTuple):
    """What all sessions of a process share."""

    settings: MediaSettings
    port: UdpPort
    clock: SlotClock
    outbox: Outbox
    certificate: Certificate


class Session:
    """Built by an offer, alive while `run` runs, over when `run` returns the reason."""

    def __init__(self, opening: OpenSession, context: MediaContext) -> None:
        """Raises `OfferError`; nothing was begun then."""
        self.id = opening.session
        self.gateway = opening.gateway
        self._context = context
        self._offer = parse_offer(opening.sdp)
        self._epoch = opening.epoch
        self._pipeline: str | None = None
        self._event_seq = 0
        self._events_waiting: deque[str] = deque(maxlen=_EVENTS_KEPT)
        self._frames_waiting: deque[AudioFrame | SilenceRun] = deque(maxlen=_FRAMES_KEPT)
        self._muted = False
        self._texts = RateLimiter(_TEXTS_PER_S, _TEXTS_AT_ONCE)
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._end_after_playout: str | None = None
        self._attached = asyncio.Event()
        self._ticks = secrets.randbelow(_REPORT_TICKS)

        self._ssrc = secrets.randbits(31) | 1
        self._path = CallerPath(context.port, self, _new_credentials)
        self._answer_version = 1
        settings = context.settings
        self._uplink = Uplink(self.id, self._epoch, self._send_frame, settings.media_reorder_wait_ms / 1000)
        opus = self._offer.audio.opus
        assert opus is not None  # parse_offer refuses an offer without
        self._payload_type = opus.payload_type
        self._downlink = Downlink(
            self._ssrc, opus.payload_type, settings.media_cushion_ms, settings.media_bitrate, self._report_playout
        )
        self._peer = Peer(
            context.certificate,
            self._offer.fingerprints,
            self._path.send,
            self._send_waiting_events,
            self._on_control,
            lambda: self.publish("error", TOO_MANY_MESSAGES),
            self.close,
            session_id=self.id,
        )
        self._rtp: RtpSession | None = None
        self._log = log.bind(session_id=self.id)

    # -- its life ------------------------------------------------------------------------------------------------

    def answer(self) -> str:
        """The SDP answer, as things stand."""
        local = LocalMedia(
            self._path.credentials,
            self._context.certificate.sha256_fingerprint,
            self._context.port.addresses,
            self._ssrc,
            "antiphon",
            self._answer_version,
        )
        return write_answer(self._offer, local)

    def update(self, sdp: str) -> str:
        """Answer a later offer of the same peer: it may restart ICE, or put the agent on hold. Raises `OfferError`;
        nothing changed then."""
        offer = parse_offer(sdp)
        if offer.fixed_parts != self._offer.fixed_parts:
            raise OfferError("a later offer must be of the same peer and the same sections", code="offer_changed")
        restarts = (offer.audio.ufrag, offer.audio.password) != (self._offer.audio.ufrag, self._offer.audio.password)
        self._offer = offer
        self._answer_version += 1
        if restarts:
            self._path.restart()
            self._log.info("ice_restarted")
        self._route_agent_audio()
        return self.answer()

    async def run(self) -> str:
        """Connect, talk, end. Returns why it ended; everything it opened is closed by then."""
        settings, clock = self._context.settings, self._context.clock
        self._path.open()
        self.publish("status", {"status": "connecting"})
        reason = "internal"
        try:
            async with asyncio.TaskGroup() as tasks:
                setup = tasks.create_task(self._connect(settings))
                reason = await self._closed
                setup.cancel()
        except* AntiphonError as group:
            reason = next(code for code in _codes(group))
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
        """End it; the first reason counts."""
        if not self._closed.done():
            self._closed.set_result(reason)

    async def _connect(self, settings: MediaSettings) -> None:
        try:
            async with asyncio.timeout(settings.media_connect_timeout_s):
                pair = await self._peer.connect()
        except TimeoutError:
            self.close("connect_timeout")
            return
        except PeerFailed as error:
            self.close(error.code)
            return
        now = asyncio.get_running_loop().time()
        codec = pair.bind()
        self._rtp = RtpSession(codec, self._ssrc, self.id, self._payload_type, self._uplink, self._downlink)
        self._downlink.connect(codec, secrets.randbits(15), secrets.randbits(32))
        self._uplink.begin(now)
        self._path.last_heard_s = now
        self._context.clock.join(self)
        self._log.info("caller_connected")
        if self._attached.is_set():
            self._tell_pipeline(CallerConnected(session=self.id))
        if self._offer.data is not None:
            await self._peer.open_data(self._offer.data.sctp_port or 5000, self._offer.data.max_message_size)
        try:
            async with asyncio.timeout(settings.media_pipeline_timeout_s):
                await self._attached.wait()
        except TimeoutError:
            self.publish("error", {"code": "no_pipeline", "message": "No agent is free to answer. Try again later."})
            self.close("no_pipeline")

    async def _say_goodbye(self, reason: str) -> None:
        self.publish("status", {"status": "ended", "reason": reason})
        self._count()
        if self._rtp is not None:
            self._rtp.send_bye(self._path.send)
        await asyncio.sleep(0)  # lets the data channel send its last message

    async def _release(self, reason: str) -> None:
        """Whatever the farewell came to: whom nobody ends would be fed and decoded until the process stops."""
        self._path.close()
        self._tell_pipeline(SessionClosed(session=self.id, reason=reason))
        self._tell_gateway(SessionClosed(session=self.id, reason=reason))
        await self._peer.close()

    # -- the caller's side ---------------------------------------------------------------------------------------

    def on_check(self, request: BindingRequest, path: Path) -> None:
        selected = self._path.on_check(request, path, asyncio.get_running_loop().time())
        if selected is not None:
            self._route_agent_audio()
            self._log.info("path_selected", address=f"{path.source[0]}:{path.source[1]}")

    def was_heard_at(self, path: Path, now: float) -> bool:
        return self._path.was_heard_at(path, now)

    def _route_agent_audio(self) -> None:
        self._downlink.send_by(self._path.queue() if self._offer.wants_agent else nowhere)

    def on_dtls(self, datagram: bytes) -> None:
        self._peer.on_datagram(datagram)

    def on_media(self, datagram: bytes, now: float) -> None:
        if self._rtp is not None and self._rtp.on_media(datagram, now):
            self._path.last_heard_s = now

    def tick(self, slot: int, now: float) -> None:
        """Every 20 ms once connected."""
        self._uplink.tick(now)
        self._downlink.tick(slot)
        self._ticks += 1
        if self._ticks % _CHECK_TICKS == 0:
            if now - self._path.last_heard_s > self._context.settings.media_silent_timeout_s:
                self.close("silent_timeout")
            self._count()
            if self._rtp is not None and self._rtp.said_bye:
                self.close("hangup")
        if self._ticks % _REPORT_TICKS == 0 and self._rtp is not None:
            self._rtp.send_report(self._path.send, now)

    def _count(self) -> None:
        self._downlink.count()
        if self._rtp is not None:
            self._rtp.count()

    def set_complexity(self, complexity: int) -> None:
        self._downlink.set_complexity(complexity)

    def publish(self, event_type: str, fields: dict[str, Any]) -> None:
        """Number an event and send it on both channels."""
        self._event_seq += 1
        event = client_event(event_type, self._event_seq, fields)
        self._tell_gateway(ClientEventSent(session=self.id, event=event))
        self._send_on_channel(json.dumps(event, ensure_ascii=False))

    def _on_control(self, message: str) -> None:
        try:
            control = parse_control(message)
        except PeerError as error:
            _control_errors.labels(error.code).inc()
            self.publish("error", {"code": error.code, "message": error.message})
            return
        match control:
            case Text() if not self._texts.admits(asyncio.get_running_loop().time()):
                self.publish("error", TOO_MANY_MESSAGES)
            case Text(text=text):
                self._tell_pipeline(TextReceived(session=self.id, text=text))
            case Interrupt():
                self._tell_pipeline(InterruptRequested(session=self.id))
            case Talk(pressed=pressed):
                self._tell_pipeline(TalkChanged(session=self.id, pressed=pressed))
            case Mute(muted=muted):
                self._muted = muted
                self._tell_pipeline(MuteChanged(session=self.id, muted=muted))
            case Ping(id=ping_id):
                self._peer.send_text(json.dumps({"type": "pong", "id": ping_id, "data": {"id": ping_id}}))
            case None:
                _unknown_control.inc()

    def _send_on_channel(self, text: str) -> None:
        self._events_waiting.append(text)
        if self._peer.opened.is_set():
            self._send_waiting_events()

    def _send_waiting_events(self) -> None:
        while self._events_waiting:
            self._peer.send_text(self._events_waiting.popleft())

    # -- the pipeline's side -------------------------------------------------------------------------------------

    def on_frame(self, frame: AudioFrame) -> None:
        """Agent audio."""
        if frame.epoch != self._epoch:
            _stale.inc()
            return
        try:
            began = self._downlink.push(frame)
            if began and self._downlink.may_send_in(self._context.clock.slot):
                self._context.clock.hurry(self)
        except AntiphonError as error:
            self._log.warning("agent_audio_refused", code=error.code, error=error.message)

    def on_pipeline(self, message: PipelineMessage) -> None:
        if message.epoch < self._epoch:
            _stale.inc()
            return
        match message:
            case PipelineAttached(pipeline_worker=worker, epoch=epoch):
                self._attach(worker, epoch)
            case AgentSpeechEnded(end_sample=end_sample):
                self._downlink.end_at(end_sample)
            case FlushPlayout():
                self._downlink.flush()
            case PausePlayout():
                self._downlink.pause()
            case ResumePlayout():
                self._downlink.resume()
            case PublishEvent(type=event_type, fields=fields):
                self.publish(event_type, fields)
            case EndSession(reason=reason, after_playout=after_playout):
                if after_playout and not self._downlink.is_idle:
                    self._end_after_playout = reason
                else:
                    self.close(reason)

    def _attach(self, worker: str, epoch: int) -> None:
        if epoch > self._epoch:
            self._downlink.restart()
        self._pipeline = keys.inbox("pipeline", worker)
        self._epoch = self._uplink.epoch = epoch
        self._attached.set()
        self._log.info("pipeline_attached", pipeline_worker=worker, epoch=epoch)
        if self._rtp is not None:
            self._tell_pipeline(CallerConnected(session=self.id))
        while self._frames_waiting:
            self._context.outbox.send(self._pipeline, self._frames_waiting.popleft()._replace(epoch=epoch))

    def _send_frame(self, frame: AudioFrame | SilenceRun) -> None:
        if self._muted and isinstance(frame, AudioFrame):
            session, epoch, seq, first_sample, rate, _, _ = frame
            frame = SilenceRun(session, epoch, seq, first_sample, rate, frame.samples)
        if self._pipeline is None:
            self._frames_waiting.append(frame)
        else:
            self._context.outbox.send(self._pipeline, frame)

    def _report_playout(self, played_up_to: int, state: Any, at_unix_ms: float | None) -> None:
        self._tell_pipeline(
            PlayoutReported(session=self.id, played_up_to=played_up_to, state=state, at_unix_ms=at_unix_ms)
        )
        if state in ("finished", "flushed") and self._end_after_playout is not None:
            self.close(self._end_after_playout)

    def _tell_pipeline(self, message: Message) -> None:
        if self._pipeline is not None:
            self._context.outbox.send(self._pipeline, message)

    def _tell_gateway(self, message: Message) -> None:
        self._context.outbox.send(keys.inbox("gateway", self.gateway), message)


def _new_credentials() -> Credentials:
    return Credentials(secrets.token_hex(4), secrets.token_hex(16))


def _codes(group: BaseExceptionGroup[AntiphonError]) -> list[str]:
    return [error.code for error in group.exceptions if isinstance(error, AntiphonError)] or ["internal"]
