"""One caller's session: connects the transport, the audio both ways, the pipeline link and the event channel."""

import asyncio
import json
import secrets
from typing import Any, NamedTuple

from prometheus_client import Counter

from media_worker.caller_path import CallerPath, discard
from media_worker.core.control_messages import Mute, Ping, Text, for_pipeline, parse_control
from media_worker.core.ice_lite import Credentials, Path
from media_worker.core.rate_limiter import TOO_MANY_MESSAGES
from media_worker.core.sdp_answer import LocalMedia, write_answer
from media_worker.core.sdp_offer import parse_offer
from media_worker.core.stun import BindingRequest
from media_worker.downlink import Downlink
from media_worker.event_channel import EventChannel
from media_worker.peer import Certificate, Peer, PeerCallbacks, PeerFailed
from media_worker.pipeline_link import PipelineLink
from media_worker.rtp_session import RtpSession
from media_worker.settings import MediaSettings
from media_worker.slot_clock import SlotClock
from media_worker.srtp import SrtpCodec
from media_worker.udp_port import UdpPort
from media_worker.uplink import Uplink
from shared import keys
from shared.errors import AntiphonError, OfferError, PeerError, leaves
from shared.events import (
    AgentSpeechEnded,
    CallerConnected,
    EndSession,
    FlushPlayout,
    OpenSession,
    PausePlayout,
    PipelineAttached,
    PipelineMessage,
    PlayoutReported,
    PublishEvent,
    ResumePlayout,
    SessionClosed,
)
from shared.frames import AudioFrame
from shared.io.logs import get_logger
from shared.io.outbox import Outbox
from shared.rate_limiter import RateLimiter

_TEXTS_PER_S, _TEXTS_AT_ONCE = 1, 10
"""Each text is a request to a language model, which costs money."""
_REPORT_TICKS = 125  # RTCP every 2.5 s
_CHECK_TICKS = 50

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
    """Created for an offer. `run` is its life and returns the reason of its end."""

    def __init__(self, opening: OpenSession, context: MediaContext) -> None:
        """Raises `OfferError`; nothing is open then."""
        self.id = opening.session
        self.gateway = opening.gateway
        self._context = context
        self._offer = parse_offer(opening.sdp)
        self._answer_version = 1
        self._texts = RateLimiter(_TEXTS_PER_S, _TEXTS_AT_ONCE)
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._end_after_playout: str | None = None
        self._ticks = secrets.randbelow(_REPORT_TICKS)
        self._ssrc = secrets.randbits(31) | 1
        self._log = log.bind(session_id=self.id)
        settings = context.settings
        opus = self._offer.audio.opus
        assert opus is not None  # parse_offer refuses an offer without Opus
        self._payload_type = opus.payload_type
        self._path = CallerPath(context.port, self, _new_credentials)
        self._pipeline = PipelineLink(opening.epoch, context.outbox)
        self._uplink = Uplink(self.id, opening.epoch, self._pipeline.send_frame, settings.media_reorder_wait_ms / 1000)
        self._downlink = Downlink(
            self._ssrc, opus.payload_type, settings.media_cushion_ms, settings.media_bitrate, self._report_playout
        )
        self._events = EventChannel(self.id, self.gateway, context.outbox, lambda text: self._peer.send_text(text))
        callbacks = PeerCallbacks(
            on_open=self._events.open,
            on_text=self._on_control,
            on_too_fast=lambda: self._events.publish("error", TOO_MANY_MESSAGES),
            on_closed=self.close,
        )
        fingerprints = self._offer.audio.fingerprints
        self._peer = Peer(context.certificate, fingerprints, self._path.send, callbacks, session_id=self.id)
        self._rtp: RtpSession | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    def answer(self) -> str:
        """The SDP answer to the latest offer."""
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
        """Answer a later offer of the same peer: it may restart ICE, or put the agent on hold.

        Raises `OfferError`; nothing has changed then.
        """
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
        """Connect, talk, end. Returns the reason of the end; everything that it opened is closed by then."""
        settings, clock = self._context.settings, self._context.clock
        self._path.open()
        self._events.publish("status", {"status": "connecting"})
        reason = "internal"
        try:
            async with asyncio.TaskGroup() as tasks:
                setup = tasks.create_task(self._connect(settings))
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
        codec = SrtpCodec(pair)
        self._rtp = RtpSession(codec, self._ssrc, self.id, self._payload_type, self._uplink, self._downlink)
        self._downlink.connect(codec, secrets.randbits(15), secrets.randbits(32))
        self._uplink.begin(now)
        self._path.last_heard_s = now
        self._context.clock.join(self)
        self._log.info("caller_connected")
        self._pipeline.send(CallerConnected(session=self.id))
        if self._offer.data is not None:
            await self._peer.open_data(self._offer.data.sctp_port or 5000, self._offer.data.max_message_size)
        try:
            async with asyncio.timeout(settings.media_pipeline_timeout_s):
                await self._pipeline.attached.wait()
        except TimeoutError:
            self._events.publish_error("no_pipeline", "No agent is free to answer. Try again later.")
            self.close("no_pipeline")

    async def _say_goodbye(self, reason: str) -> None:
        self._events.publish("status", {"status": "ended", "reason": reason})
        self._count()
        if self._rtp is not None:
            self._rtp.send_bye(self._path.send)
        await asyncio.sleep(0)  # lets the data channel send its last message

    async def _release(self, reason: str) -> None:
        """Runs even if the goodbye failed, or the session would receive and decode until the process stops."""
        self._path.close()
        closed = SessionClosed(session=self.id, reason=reason)
        self._pipeline.send(closed)
        self._context.outbox.send(keys.inbox("gateway", self.gateway), closed)
        await self._peer.close()

    # -- the caller ----------------------------------------------------------------------------------------------

    def on_check(self, request: BindingRequest, path: Path) -> None:
        selected = self._path.on_check(request, path, asyncio.get_running_loop().time())
        if selected is not None:
            self._route_agent_audio()
            self._log.debug("path_selected", address=f"{path.source[0]}:{path.source[1]}")

    def was_heard_at(self, path: Path, now: float) -> bool:
        return self._path.was_heard_at(path, now)

    def _route_agent_audio(self) -> None:
        self._downlink.set_sender(self._path.queue() if self._offer.wants_agent else discard)

    def on_dtls(self, datagram: bytes) -> None:
        self._peer.on_datagram(datagram)

    def on_media(self, datagram: bytes, now: float) -> None:
        if self._rtp is not None and self._rtp.on_media(datagram, now):
            self._path.last_heard_s = now

    def tick(self, slot: int, now: float) -> None:
        """Called every 20 ms once the caller is connected."""
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

    def _on_control(self, text: str) -> None:
        try:
            control = parse_control(text)
        except PeerError as error:
            _control_errors.labels(error.code).inc()
            self._events.publish_error(error.code, error.message)
            return
        match control:
            case None:
                _unknown_control.inc()
                return
            case Text() if not self._texts.admits(asyncio.get_running_loop().time()):
                self._events.publish("error", TOO_MANY_MESSAGES)
                return
            case Mute(muted=muted):
                self._uplink.muted = muted
            case Ping(id=ping_id):
                self._peer.send_text(json.dumps({"type": "pong", "id": ping_id, "data": {"id": ping_id}}))
        message = for_pipeline(self.id, control)
        if message is not None:
            self._pipeline.send(message)

    # -- the pipeline worker -------------------------------------------------------------------------------------

    def on_frame(self, frame: AudioFrame) -> None:
        """Agent audio."""
        if not self._pipeline.accepts(frame):
            return
        try:
            began = self._downlink.push(frame)
            if began and self._downlink.may_send_in(self._context.clock.slot):
                self._context.clock.advance(self)
        except AntiphonError as error:
            self._log.warning("agent_audio_refused", code=error.code, error=error.message)

    def on_pipeline(self, message: PipelineMessage) -> None:
        if not self._pipeline.accepts(message):
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
                self._events.publish(event_type, fields)
            case EndSession(reason=reason, after_playout=after_playout):
                if after_playout and not self._downlink.is_idle:
                    self._end_after_playout = reason
                else:
                    self.close(reason)

    def _attach(self, worker: str, epoch: int) -> None:
        if epoch > self._pipeline.epoch:
            self._downlink.restart()
        self._uplink.epoch = epoch
        self._pipeline.attach(worker, epoch)
        self._log.info("pipeline_attached", pipeline_worker=worker, epoch=epoch)
        if self._rtp is not None:
            self._pipeline.send(CallerConnected(session=self.id))
        self._pipeline.send_waiting_frames()

    def _report_playout(self, played_up_to: int, state: Any, at_unix_ms: float | None) -> None:
        self._pipeline.send(
            PlayoutReported(session=self.id, played_up_to=played_up_to, state=state, at_unix_ms=at_unix_ms)
        )
        if state in ("finished", "flushed") and self._end_after_playout is not None:
            self.close(self._end_after_playout)


def _new_credentials() -> Credentials:
    return Credentials(secrets.token_hex(4), secrets.token_hex(16))
