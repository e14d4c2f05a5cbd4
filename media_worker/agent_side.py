"""The pipeline worker's side of a session: what it sends takes effect here, and nothing of any other worker does."""

from collections.abc import Callable

from media_worker.agent_audio import AgentAudio
from media_worker.event_channel import EventChannel
from media_worker.pipeline_link import PipelineLink
from media_worker.session_record import SessionRecord
from media_worker.setup_meter import SetupMeter
from media_worker.uplink import Uplink
from shared.events import (
    CallerConnected,
    EndSession,
    EventsMissed,
    MediaAttached,
    PipelineAttached,
    PipelineLeaving,
    PipelineMessage,
    PlayoutReported,
    PlayoutState,
    PublishEvent,
    SessionClosed,
    TextsMissed,
)


class AgentSide:
    """Wires the link to the pipeline worker with audio, events and the record. `close` ends the session."""

    def __init__(
        self,
        link: PipelineLink,
        uplink: Uplink,
        audio: AgentAudio,
        events: EventChannel,
        record: SessionRecord,
        setup: SetupMeter,
        close: Callable[[str], None],
    ) -> None:
        self._session = record.opening.session
        self._link = link
        self._uplink = uplink
        self._audio = audio
        self._events = events
        self._record = record
        self._setup = setup
        self._close = close

    def begin(self, media_worker: str, now: float) -> None:
        """The caller is connected. A pipeline worker that the session has already goes on with this media worker."""
        resume = self._record.resume
        attached = MediaAttached(
            session=self._session,
            media_worker=media_worker,
            generation=resume.generation,
            published=resume.published,
        )
        self._link.send(attached)
        self._link.begin(now)
        self.save()

    def save(self) -> None:
        """Write the session's record."""
        self._record.save(self._link.guard)

    def end(self, reason: str) -> None:
        """The session is over, or has moved to another media worker, which is then none of the pipeline's business."""
        self._link.end()
        if self._record.leads and reason != "moved":
            self._link.send(SessionClosed(session=self._session, reason=reason))

    def tend(self, now: float) -> None:
        """Notice who and what is missing. Call it a few times a second."""
        self._link.check(now)
        self._audio.tend(now)

    def on_message(self, message: PipelineMessage, sender: str) -> None:
        if isinstance(message, PipelineAttached):
            self._attach(message)
            return
        if not self._link.accepts(message, sender):
            return
        match message:
            case PublishEvent(type=event_type, fields=fields, number=number):
                self._events.publish(event_type, fields, number)
                if event_type == "metrics" and (waited_ms := fields.get("firstAudioMs")) is not None:
                    self._record.measure(answer_ms=waited_ms)
            case PipelineLeaving():
                self._link.leave()
            case TextsMissed(received=received):
                self._link.repeat_texts(received)
            case EndSession():
                self._link.end()
                self._audio.on_command(message)
            case _:
                self._audio.on_command(message)

    def on_gap(self, worker: str, now: float) -> None:
        """Batches of a pipeline worker were lost: ask for what cannot be told from what comes next."""
        if worker == self._link.guard.worker != "":
            self._audio.on_gap(now)
            self._events.expect_repeats()
            self._link.send(EventsMissed(session=self._session, published=self._events.published))

    def on_gone(self, worker: str, now: float) -> None:
        """A pipeline worker does not have this session (any more)."""
        self._link.forget(worker, now)

    def on_lost(self) -> None:
        self._events.publish("status", {"status": "reconnecting"})
        self.save()

    def give_up(self, code: str, message: str) -> None:
        self._events.publish_error(code, message)
        self._close(code)

    def report_playout(self, played_up_to: int, state: PlayoutState, at_unix_ms: float | None) -> None:
        self._link.send(
            PlayoutReported(session=self._session, played_up_to=played_up_to, state=state, at_unix_ms=at_unix_ms)
        )
        if at_unix_ms is not None:
            self._setup.playing_began(at_unix_ms / 1000)
        if state in ("finished", "flushed"):
            self._audio.on_ended()

    def _attach(self, attached: PipelineAttached) -> None:
        link = self._link
        is_first = link.guard.epoch == 0
        verdict = link.attach(attached.pipeline_worker, attached.epoch)
        if verdict == "refused":
            return
        is_new = verdict == "accepted"
        if is_new:
            self._events.expect_no_repeats()
        played_up_to = self._audio.take_over(replaces=is_new and not is_first)
        published = self._events.published
        link.send(CallerConnected(session=self._session, played_up_to=played_up_to, published=published))
        link.send_waiting()
        self._uplink.epoch = attached.epoch
        repeat_from = 0 if is_first and attached.uplink_from is None else attached.uplink_from
        if is_new and repeat_from is not None:
            link.repeat_frames(repeat_from)
        self.save()
