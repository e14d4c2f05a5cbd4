"""The inputs and the actions of the signaling machine."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.client_messages import Bye, IceCandidate, Offer, ResumeSession, UnknownMessage
from gateway.core.session_record import SessionRecord, StoredEvent
from gateway.core.tokens import LONGEST_SESSION_S
from shared.events import Message

# Inputs, besides the client's messages


class BadMessage(NamedTuple):
    """The client sent something that is not a message."""

    code: str
    message: str


class Placed(NamedTuple):
    """A slot of this media worker is reserved for the session, and the agent's pool has room."""

    session: str
    media_worker: str
    created_ms: int = 0
    """Unix time at which the session began."""
    max_duration_s: int = LONGEST_SESSION_S
    """What the caller's token allows; the agent may allow less."""
    api_key: str = ""
    counted_in: tuple[str, ...] = ()


class PlacementRefused(NamedTuple):
    """No worker can take the session now."""

    code: str
    message: str
    retry_after_ms: int | None = None


class SessionFound(NamedTuple):
    """The session that the client names. Whether its token is right is not checked yet."""

    record: SessionRecord
    events: Sequence[StoredEvent] = ()
    media_alive: bool = True


class SessionUnknown(NamedTuple):
    """There is no session of that name (any more)."""


class LookupFailed(NamedTuple):
    """The broker is away."""

    code: str
    message: str
    retry_after_ms: int | None = None


class EventsRead(NamedTuple):
    """The stored events of the session, those included that came while this gateway was being attached."""

    events: Sequence[StoredEvent]


class Heard(NamedTuple):
    """A message of a media worker."""

    media_worker: str
    message: Message


class MediaWorkerLost(NamedTuple):
    """Nothing was heard of this media worker for too long."""

    media_worker: str


class MediaWorkerBack(NamedTuple):
    """A media worker that counted as lost was heard again."""

    media_worker: str


class MessagesLost(NamedTuple):
    """Messages of this media worker have not come; events may be among them."""

    media_worker: str


class DeadlinePassed(NamedTuple):
    """`SignalingMachine.deadline_s` has passed."""


class SocketClosed(NamedTuple):
    """The client has disconnected."""


class ClientTooSlow(NamedTuple):
    """The client does not read what we send."""


class DrainStarted(NamedTuple):
    """The gateway will stop."""

    time_left_ms: int


class DrainEnded(NamedTuple):
    """The gateway stops now."""


Input = (
    Offer
    | ResumeSession
    | IceCandidate
    | Bye
    | UnknownMessage
    | BadMessage
    | Placed
    | PlacementRefused
    | SessionFound
    | SessionUnknown
    | LookupFailed
    | EventsRead
    | Heard
    | MediaWorkerLost
    | MediaWorkerBack
    | MessagesLost
    | DeadlinePassed
    | SocketClosed
    | ClientTooSlow
    | DrainStarted
    | DrainEnded
)

# Actions


class SendToClient(NamedTuple):
    message: Mapping[str, Any]


class Place(NamedTuple):
    """Reserve a slot; answered by `Placed` or `PlacementRefused`.

    A session that moves has a name already, and its pipeline worker: no room is needed in the pool.
    """

    agent_id: str
    pool: str
    avoid: frozenset[str] = frozenset()
    """Workers that have refused, have not answered in time or are lost."""
    session: str = ""
    silent: str = ""
    """The worker that has not answered in time, if that is why another one is looked for."""


class Lookup(NamedTuple):
    """Find the session; answered by `SessionFound`, `SessionUnknown` or `LookupFailed`."""

    session: str


class Watch(NamedTuple):
    """This media worker has the session now: report when it is lost."""

    session: str
    media_worker: str


class ReadEvents(NamedTuple):
    """Read the stored events once the media worker knows of this gateway; always answered by `EventsRead`."""

    session: str


class Release(NamedTuple):
    """Release the reserved slot."""

    session: str
    media_worker: str


class SendToWorker(NamedTuple):
    """From `OpenSession` or `GatewayAttached` on, what is said of the session comes to this client."""

    media_worker: str
    message: Message


class CloseSocket(NamedTuple):
    """`code` as in RFC 6455 §7.4; `reason` is a machine word."""

    code: int
    reason: str


Action = SendToClient | Place | Lookup | ReadEvents | Watch | Release | SendToWorker | CloseSocket
