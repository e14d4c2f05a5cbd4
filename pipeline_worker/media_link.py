"""Sends a session's items to its media worker, under the epoch by which this process owns the session."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from shared import keys
from shared.errors import AntiphonError, EngineError
from shared.events import (
    AgentSpeechEnded,
    EndSession,
    FlushPlayout,
    MediaAttached,
    PausePlayout,
    PipelineAttached,
    PipelineLeaving,
    PublishEvent,
    ResumePlayout,
    SessionClosed,
    StatusWord,
    TextReceived,
    TextsMissed,
)
from shared.frames import AudioFrame
from shared.wire import Item

_ENGINE_FAILURES = {
    "engine_unavailable": "A service that the agent needs cannot be reached. Try again in a moment.",
    "engine_timeout": "A service that the agent needs did not answer in time. Try again.",
    "engine_busy": "A service that the agent needs accepts no more requests for now. Try again in a moment.",
    "engine_key_refused": "A service refuses the agent's key: its operator has to renew it.",
    "engine_refused": "A service does not accept the agent's request: the operator finds the reason in the log.",
}

_EVENTS_KEPT = 100
_PASSING = ("transcript-partial", "metrics")
"""Events that are worth nothing later."""

Send = Callable[[str, Item], None]
"""Queues an item for the inbox with this key, as `shared.io.outbox.Outbox.send` does."""


class MediaLink:
    """The session's present media worker, and the events that were published, so that a new one gets those that the
    client may have missed."""

    def __init__(
        self, send: Send, media_worker: str, session: str, epoch: int, generation: int = 1, published: int = 0
    ) -> None:
        self.media_worker = media_worker
        self.session = session
        self.epoch = epoch
        self.published = published
        """The number of the session's last event."""
        self._end: EndSession | None = None
        self._texts_received = 0
        self._generation = generation
        self._attached: PipelineAttached | None = None
        self._recent: deque[PublishEvent] = deque(maxlen=_EVENTS_KEPT)
        self._send_to = send
        self._send: Callable[[Item], None] = partial(send, keys.inbox("media", media_worker))

    def attach(self, pipeline_worker: str, uplink_from: int | None = None) -> None:
        self._attached = PipelineAttached(
            session=self.session, epoch=self.epoch, pipeline_worker=pipeline_worker, uplink_from=uplink_from
        )
        self._send(self._attached)

    def move_to(self, message: MediaAttached) -> bool:
        """The session has a new media worker. False if the message is an old one."""
        if message.generation <= self._generation:
            return False
        self.media_worker, self._generation = message.media_worker, message.generation
        self._texts_received = 0
        self._send = partial(self._send_to, keys.inbox("media", message.media_worker))
        for event in self._recent:
            if event.number > message.published:
                self._send(event)
        return True

    def repeat(self, published: int) -> None:
        """The media worker has lost what came after event `published`. Of the statuses, only the last is still true."""
        missed = [event for event in self._recent if event.number > published]
        for event in missed:
            if event.type != "status":
                self._send(event)
        if statuses := [event.fields for event in missed if event.type == "status"]:
            self.publish("status", **statuses[-1])
        if self._end is not None:
            self._send(self._end)

    def ask_for_texts(self) -> None:
        """Messages of the media worker were lost: what the caller typed may be among them."""
        self._send(TextsMissed(session=self.session, epoch=self.epoch, received=self._texts_received))

    def is_new(self, typed: TextReceived) -> bool:
        """False for a text that was sent again, although it had come."""
        if 0 < typed.number <= self._texts_received:
            return False
        self._texts_received = max(self._texts_received, typed.number)
        return True

    def leave(self) -> None:
        self._send(PipelineLeaving(session=self.session, epoch=self.epoch))

    def stay(self) -> None:
        """Undoes `leave`, unless another worker has the session already."""
        if self._attached is not None:
            self._send(self._attached)

    def give_up(self) -> None:
        """We have the session no more, whoever else may have it."""
        self._send(SessionClosed(session=self.session, reason="session_gone"))

    def silence(self) -> None:
        """Another pipeline worker has the session: nothing more is sent."""
        self._send = _nowhere

    def publish(self, event_type: str, **fields: Any) -> None:
        """An event for the client."""
        self.published += 1
        event = PublishEvent(
            session=self.session, epoch=self.epoch, type=event_type, fields=fields, number=self.published
        )
        if event_type not in _PASSING:
            self._recent.append(event)
        self._send(event)

    def publish_status(self, status: StatusWord) -> None:
        self.publish("status", status=status)

    def publish_error(self, code: str, message: str) -> None:
        self.publish("error", code=code, message=message)

    def send_audio(self, seq: int, first_sample: int, sample_rate: int, pcm: bytes) -> None:
        self._send(AudioFrame(self.session, self.epoch, seq, first_sample, sample_rate, 1, pcm))

    def publish_failure(self, error: AntiphonError) -> None:
        """Reports a failure to the client. An engine's own message stays in the log, because it may name servers and
        accounts."""
        message = error.message
        if isinstance(error, EngineError):
            message = _ENGINE_FAILURES.get(error.code, "A part of the agent failed. Please say it again.")
        self.publish_error(error.code, message)

    def end_speech(self, end_sample: int) -> None:
        self._send(AgentSpeechEnded(session=self.session, epoch=self.epoch, end_sample=end_sample))

    def flush_playout(self) -> None:
        self._send(FlushPlayout(session=self.session, epoch=self.epoch))

    def pause_playout(self) -> None:
        self._send(PausePlayout(session=self.session, epoch=self.epoch))

    def resume_playout(self) -> None:
        self._send(ResumePlayout(session=self.session, epoch=self.epoch))

    def end_session(self, reason: str, after_playout: bool = False) -> None:
        self._end = EndSession(session=self.session, epoch=self.epoch, reason=reason, after_playout=after_playout)
        self._send(self._end)

    @property
    def has_ended(self) -> bool:
        """Whether this worker has ended the session."""
        return self._end is not None


def _nowhere(_: Item) -> None:
    """Takes what nobody gets any more."""
