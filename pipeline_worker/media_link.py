"""Sends a session's items to its media worker, under the epoch by which this process owns the session."""

from collections.abc import Callable
from functools import partial
from typing import Any

from shared import keys
from shared.errors import AntiphonError, EngineError
from shared.events import (
    AgentSpeechEnded,
    EndSession,
    FlushPlayout,
    PausePlayout,
    PipelineAttached,
    PublishEvent,
    ResumePlayout,
    StatusWord,
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

Send = Callable[[str, Item], None]
"""Queues an item for the inbox with this key, as `shared.io.outbox.Outbox.send` does."""


class MediaLink:
    def __init__(self, send: Send, media_worker: str, session: str, epoch: int) -> None:
        self.media_worker = media_worker
        self.session = session
        self.epoch = epoch
        self._send = partial(send, keys.inbox("media", media_worker))

    def attach(self, pipeline_worker: str) -> None:
        self._send(PipelineAttached(session=self.session, epoch=self.epoch, pipeline_worker=pipeline_worker))

    def publish(self, event_type: str, **fields: Any) -> None:
        """An event for the client."""
        self._send(PublishEvent(session=self.session, epoch=self.epoch, type=event_type, fields=fields))

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
        self._send(EndSession(session=self.session, epoch=self.epoch, reason=reason, after_playout=after_playout))
