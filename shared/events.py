"""Every message between processes. Commands are imperatives, events are past facts.

New fields have defaults and no field is renamed, so that two versions can talk during a rolling update. Audio is the
hot path and has its own types, in `frames`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PlayoutState = Literal["playing", "paused", "finished", "flushed"]
StatusWord = Literal["connecting", "listening", "thinking", "speaking", "reconnecting", "ended"]


class Message(BaseModel):
    """Every message belongs to one session."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    session: str = Field(min_length=1, max_length=64)


# gateway -> media worker


class Resume(BaseModel):
    """Where a session that moves to another media worker goes on."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    generation: int
    """Counts the media workers of the session, from 1."""
    epoch: int = 0
    """Of its last pipeline worker; 0 if it has had none."""
    pipeline_worker: str = ""
    media_worker: str = ""
    """The one before."""
    seq: int = 0
    """Of the last event that the client may have seen."""
    published: int = 0
    """The number of the last `PublishEvent` that was recorded."""


class OpenSession(Message):
    """Answer this first offer of a peer."""

    kind: Literal["open-session"] = "open-session"
    gateway: str
    agent_id: str
    sdp: str
    pool: str = "default"
    created_ms: int = 0
    """Unix time at which the session began."""
    max_duration_s: int = 3600
    resume_tokens: tuple[str, ...] = ()
    """SHA-256 (hex) of the resume tokens that are accepted."""
    resume: Resume | None = None
    api_key: str = ""
    """The name of the API key that made the caller's token."""
    counted_in: tuple[str, ...] = ()
    """Keys of the counters (`keys.counter`) in which the media worker keeps the session."""
    survives_reload: bool = False
    """A client that closes its peer connection may come back with another one."""
    traceparent: str = ""
    """The gateway's span (W3C Trace Context §3.2); empty if nothing is traced."""


class UpdateOffer(Message):
    """A later offer of a running session (an ICE restart). The answer or refusal carries its number."""

    kind: Literal["update-offer"] = "update-offer"
    gateway: str
    sdp: str
    offer_number: int = 0


class GatewayAttached(Message):
    """The client's WebSocket is at this gateway now: events go there."""

    kind: Literal["gateway-attached"] = "gateway-attached"
    gateway: str
    resume_tokens: tuple[str, ...] = ()


class GatewayDetached(Message):
    """The client's WebSocket closed without a goodbye. A caller who is connected stays."""

    kind: Literal["gateway-detached"] = "gateway-detached"
    gateway: str


class CloseSession(Message):
    """End the session: the client said goodbye, or an operator asked for it.

    `moved`: another media worker has the session, so it goes on.
    """

    kind: Literal["close-session"] = "close-session"
    reason: str = "hangup"
    generation: int = 0
    """With `moved`, from a media worker: its own. A later one is not meant, even if it is at the same process."""


# media worker -> gateway


class OfferAnswered(Message):
    kind: Literal["offer-answered"] = "offer-answered"
    sdp: str
    offer_number: int = 0


class OfferRefused(Message):
    """The offer changed nothing. `final` means that the session does not exist (any more)."""

    kind: Literal["offer-refused"] = "offer-refused"
    code: str
    message: str
    retry_after_ms: int | None = None
    final: bool = True
    offer_number: int = 0


class ClientEventSent(Message):
    """An event for the client, the same as on the data channel (see `client_event`)."""

    kind: Literal["client-event-sent"] = "client-event-sent"
    event: dict[str, Any]


NEVER_CONNECTED = frozenset({"connect_timeout", "dtls_failed"})
"""Reasons for which a peer connection did not come about. The session itself goes on if it had another one before."""


class SessionClosed(Message):
    """The session has ended. Sent to the pipeline worker too.

    A pipeline worker answers `MediaAttached` with it if it does not have that session.
    `replaced`: another pipeline worker has the session, so it goes on.
    """

    kind: Literal["session-closed"] = "session-closed"
    reason: str = "hangup"
    epoch: int = 0
    """With `replaced`: that of the pipeline worker which is meant, because the same process may have attached again."""


# media worker -> pipeline workers (list of jobs)


class StartPipeline(Message):
    """A session needs a pipeline worker, which then attaches itself to the media worker."""

    kind: Literal["start-pipeline"] = "start-pipeline"
    agent_id: str
    media_worker: str
    epoch: int = 1
    generation: int = 1
    pool: str = "default"
    created_ms: int = 0
    max_duration_s: int = 0
    """What the caller may use; 0 leaves it to the agent, who may allow less."""
    resumed: bool = False
    """The session had a pipeline worker before: its conversation is in Redis."""
    traceparent: str = ""
    """The media worker's span, as in `OpenSession`."""


# pipeline worker -> media worker


class PipelineMessage(Message):
    """Carries the epoch of its sender: the media worker ignores earlier epochs."""

    epoch: int


class PipelineAttached(PipelineMessage):
    """The sender serves the session now; answered by `CallerConnected`, once the caller is connected. Sent again after
    `PipelineLeaving`, it means that the sender stays.

    After a takeover the caller's audio is repeated from sample `uplink_from` on, as far as the media worker kept it.
    """

    kind: Literal["pipeline-attached"] = "pipeline-attached"
    pipeline_worker: str
    uplink_from: int | None = None


class PipelineLeaving(PipelineMessage):
    """The sender drains: ask for another worker. The sender serves the session until that one has attached.

    `PipelineAttached` takes it back, unless another worker has taken the request already.
    """

    kind: Literal["pipeline-leaving"] = "pipeline-leaving"


class AgentSpeechEnded(PipelineMessage):
    """The talkspurt is complete: running dry at `end_sample` is its end, not an underrun."""

    kind: Literal["agent-speech-ended"] = "agent-speech-ended"
    end_sample: int


class FlushPlayout(PipelineMessage):
    """Fade out at once and drop all queued agent audio; answered by `PlayoutReported(state="flushed")`."""

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
    number: int = 0
    """Counts the events of a session's pipeline workers, from 1."""


class TextsMissed(PipelineMessage):
    """Messages of the media worker were lost. Answered by the typed texts after number `received`."""

    kind: Literal["texts-missed"] = "texts-missed"
    received: int


class EndSession(PipelineMessage):
    """The agent ends the session, with `after_playout` once its queued audio has been played."""

    kind: Literal["end-session"] = "end-session"
    reason: str = "agent_hangup"
    after_playout: bool = True


# media worker -> pipeline worker


class CallerConnected(Message):
    """Media flows: the agent may speak.

    After a takeover, `played_up_to` is what the caller has heard of the previous pipeline worker's audio, in its
    samples, and `published` the number of its last event.
    """

    kind: Literal["caller-connected"] = "caller-connected"
    played_up_to: int = 0
    published: int = 0


class MediaAttached(Message):
    """The caller is connected to this media worker now, whose positions start at 0.

    Ignored if `generation` is not higher than that of the present one. `published` is the number of the last event that
    the client can still get: the later ones are published again.
    """

    kind: Literal["media-attached"] = "media-attached"
    media_worker: str
    generation: int
    published: int = 0


class EventsMissed(Message):
    """Messages of the pipeline worker were lost. Answered by the events after number `published`, and by the end of the
    session if that was among them."""

    kind: Literal["events-missed"] = "events-missed"
    published: int


class PlayoutReported(Message):
    """What the caller has heard: all agent audio before sample `played_up_to`, at the stream's own rate.

    `at_unix_ms` is set when playing begins after silence or a pause: the time at which the first packet was sent, by
    the media worker's clock.
    """

    kind: Literal["playout-reported"] = "playout-reported"
    played_up_to: int
    state: PlayoutState
    at_unix_ms: float | None = None


class TextReceived(Message):
    """The caller typed instead of speaking."""

    kind: Literal["text-received"] = "text-received"
    text: str
    number: int = 0
    """Counts the texts that the media worker has sent for the session, from 1."""


class InterruptRequested(Message):
    """The caller pressed stop."""

    kind: Literal["interrupt-requested"] = "interrupt-requested"


class TalkChanged(Message):
    """The caller pressed or released the push-to-talk button."""

    kind: Literal["talk-changed"] = "talk-changed"
    pressed: bool


class MuteChanged(Message):
    kind: Literal["mute-changed"] = "mute-changed"
    muted: bool


AnyMessage = Annotated[
    OpenSession
    | UpdateOffer
    | GatewayAttached
    | GatewayDetached
    | CloseSession
    | OfferAnswered
    | OfferRefused
    | ClientEventSent
    | SessionClosed
    | StartPipeline
    | PipelineAttached
    | PipelineLeaving
    | AgentSpeechEnded
    | FlushPlayout
    | PausePlayout
    | ResumePlayout
    | PublishEvent
    | TextsMissed
    | EndSession
    | CallerConnected
    | MediaAttached
    | EventsMissed
    | PlayoutReported
    | TextReceived
    | InterruptRequested
    | TalkChanged
    | MuteChanged,
    Field(discriminator="kind"),
]


def client_event(event_type: str, seq: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The event as clients get it, e.g. ``{"type": "transcript", "role": "user", ..., "seq": 7, "data": {...}}``.

    The specification's JavaScript reads the fields at the top level, its server writes them under `data`; ours does
    both. `seq` lets a client that reads both channels drop duplicates.
    """
    return {**fields, "type": event_type, "seq": seq, "data": dict(fields)}
