"""Every message between processes, defined once. Commands are imperatives, events are past facts.

A field that is added has a default and none is renamed, so that two versions can talk during a rolling update.
Audio has types of its own in `frames`, because it is the hot path.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PlayoutState = Literal["playing", "paused", "finished", "flushed"]
StatusWord = Literal["connecting", "listening", "thinking", "speaking", "ended"]


class Message(BaseModel):
    """All messages belong to one session."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    session: str = Field(min_length=1, max_length=64)


# gateway -> media worker


class OpenSession(Message):
    """Answer this first offer."""

    kind: Literal["open-session"] = "open-session"
    gateway: str
    agent_id: str
    sdp: str
    epoch: int = 1


class UpdateOffer(Message):
    """A later offer of a running session (an ICE restart); its answer or refusal carries its number."""

    kind: Literal["update-offer"] = "update-offer"
    gateway: str
    sdp: str
    offer_number: int = 0


class CloseSession(Message):
    """End it: the client said goodbye, its WebSocket closed, or an operator wants it."""

    kind: Literal["close-session"] = "close-session"
    reason: str = "hangup"


# media worker -> gateway


class OfferAnswered(Message):
    kind: Literal["offer-answered"] = "offer-answered"
    sdp: str
    offer_number: int = 0


class OfferRefused(Message):
    """The offer changed nothing. `final` says that there is no session (any more)."""

    kind: Literal["offer-refused"] = "offer-refused"
    code: str
    message: str
    retry_after_ms: int | None = None
    final: bool = True
    offer_number: int = 0


class ClientEventSent(Message):
    """An event for the client, as it stands on the data channel (see `client_events`)."""

    kind: Literal["client-event-sent"] = "client-event-sent"
    event: dict[str, Any]


class SessionClosed(Message):
    """The session is over; also sent to the pipeline worker."""

    kind: Literal["session-closed"] = "session-closed"
    reason: str = "hangup"


# gateway -> pipeline workers (jobs stream)


class StartPipeline(Message):
    """A session needs a pipeline worker, which announces itself to the media worker."""

    kind: Literal["start-pipeline"] = "start-pipeline"
    agent_id: str
    media_worker: str
    epoch: int = 1


# pipeline worker -> media worker


class PipelineMessage(Message):
    """Carries the epoch of the pipeline worker that sends it: a media worker ignores an older one's."""

    epoch: int


class PipelineAttached(PipelineMessage):
    kind: Literal["pipeline-attached"] = "pipeline-attached"
    pipeline_worker: str


class AgentSpeechEnded(PipelineMessage):
    """No more audio of this talkspurt follows: running dry at `end_sample` is the end, not an underrun."""

    kind: Literal["agent-speech-ended"] = "agent-speech-ended"
    end_sample: int


class FlushPlayout(PipelineMessage):
    """Fade out at once and forget all queued agent audio; answered by `PlayoutReported(state="flushed")`."""

    kind: Literal["flush-playout"] = "flush-playout"


class PausePlayout(PipelineMessage):
    kind: Literal["pause-playout"] = "pause-playout"


class ResumePlayout(PipelineMessage):
    kind: Literal["resume-playout"] = "resume-playout"


class PublishEvent(PipelineMessage):
    """Number this event and send it to the client on both channels."""

    kind: Literal["publish-event"] = "publish-event"
    type: str
    fields: dict[str, Any]


class EndSession(PipelineMessage):
    """The agent ends the session; `after_playout` lets it finish what it is saying."""

    kind: Literal["end-session"] = "end-session"
    reason: str = "agent_hangup"
    after_playout: bool = True


# media worker -> pipeline worker


class CallerConnected(Message):
    """Media flows: the greeting may start."""

    kind: Literal["caller-connected"] = "caller-connected"


class PlayoutReported(Message):
    """What the caller has heard: all agent audio before sample `played_up_to`, at the stream's own rate.

    `at_unix_ms` is there when playing begins, after silence or a pause: when its first packet was sent, by the media
    worker's clock.
    """

    kind: Literal["playout-reported"] = "playout-reported"
    played_up_to: int
    state: PlayoutState
    at_unix_ms: float | None = None


class TextReceived(Message):
    """The caller typed instead of speaking."""

    kind: Literal["text-received"] = "text-received"
    text: str


class InterruptRequested(Message):
    """The caller pressed stop."""

    kind: Literal["interrupt-requested"] = "interrupt-requested"


class TalkChanged(Message):
    """The caller pressed or released the button to talk."""

    kind: Literal["talk-changed"] = "talk-changed"
    pressed: bool


class MuteChanged(Message):
    kind: Literal["mute-changed"] = "mute-changed"
    muted: bool


AnyMessage = Annotated[
    OpenSession
    | UpdateOffer
    | CloseSession
    | OfferAnswered
    | OfferRefused
    | ClientEventSent
    | SessionClosed
    | StartPipeline
    | PipelineAttached
    | AgentSpeechEnded
    | FlushPlayout
    | PausePlayout
    | ResumePlayout
    | PublishEvent
    | EndSession
    | CallerConnected
    | PlayoutReported
    | TextReceived
    | InterruptRequested
    | TalkChanged
    | MuteChanged,
    Field(discriminator="kind"),
]
