"""The inputs and the actions of the signaling machine."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.core.client_messages import Bye, IceCandidate, Offer, UnknownMessage
from gateway.core.tokens import LONGEST_SESSION_S
from shared.events import Message

# Inputs, besides the client's messages and the media worker's


class BadMessage(NamedTuple):
    """The client sent something that is not a message."""

    code: str
    message: str


class Placed(NamedTuple):
    """A slot of this media worker is reserved for the session, and the agent's pool has room."""

    session: str
    media_worker: str
    max_duration_s: int = LONGEST_SESSION_S
    """What the caller's token allows; the agent may allow less."""


class PlacementRefused(NamedTuple):
    """No worker can take the session now."""

    code: str
    message: str
    retry_after_ms: int | None = None


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
    | IceCandidate
    | Bye
    | UnknownMessage
    | BadMessage
    | Placed
    | PlacementRefused
    | Message
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
    """Reserve a slot for a new session; answered by `Placed` or `PlacementRefused`. `avoid`: workers that refused."""

    agent_id: str
    avoid: frozenset[str]


class Release(NamedTuple):
    """Release the reserved slot."""

    session: str
    media_worker: str


class SendToWorker(NamedTuple):
    media_worker: str
    message: Message


class CloseSocket(NamedTuple):
    """`code` as in RFC 6455 §7.4; `reason` is a machine word."""

    code: int
    reason: str


Action = SendToClient | Place | Release | SendToWorker | CloseSocket
