"""What a client may say on the signaling channel: JSON text in, typed messages out.

The specification's client sends `offer` and `ice-candidate`; `resume` and `bye` are ours. Unknown fields are ignored,
so a newer client can talk to an older gateway. Input is untrusted; the limits are checked first.
"""

from typing import Any, Literal, NamedTuple

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.errors import PeerError
from shared.validation_errors import first_problem

_MAX_SEQ = 2**31 - 1


class _ClientMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Offer(_ClientMessage):
    """With a `resumeToken`, the session of that token moves to the new peer connection."""

    type: Literal["offer"]
    sdp: str = Field(min_length=1)
    agent_id: str = Field(alias="agentId", min_length=1, max_length=64)
    token: str | None = None
    """Of any length that a message may have: whoever reads it says what is wrong with it."""
    resume_token: str | None = Field(None, alias="resumeToken", max_length=256)
    last_seq: int = Field(0, alias="lastSeq", ge=0, le=_MAX_SEQ)
    survives_reload: bool = Field(False, alias="survivesReload")
    """The client comes back if its page is reloaded, which closes the peer connection."""


class ResumeSession(_ClientMessage):
    """Only the WebSocket was lost: go on with the same peer connection."""

    type: Literal["resume"]
    resume_token: str = Field(alias="resumeToken", max_length=256)
    last_seq: int = Field(0, alias="lastSeq", ge=0, le=_MAX_SEQ)
    """Of the newest event that the client has seen."""


class RTCIceCandidateInit(_ClientMessage):
    """What `JSON.stringify` makes of a browser's RTCIceCandidate (W3C WebRTC §4.8.1)."""

    candidate: str = Field(max_length=512)
    sdp_mid: str | None = Field(None, alias="sdpMid", max_length=64)
    sdp_m_line_index: int | None = Field(None, alias="sdpMLineIndex", ge=0, le=65535)
    username_fragment: str | None = Field(None, alias="usernameFragment", max_length=256)


class IceCandidate(_ClientMessage):
    """`null` and the empty string mean that there are no more candidates."""

    type: Literal["ice-candidate"]
    candidate: RTCIceCandidateInit | str | None

    @property
    def is_last(self) -> bool:
        return not (self.candidate.candidate if isinstance(self.candidate, RTCIceCandidateInit) else self.candidate)


class Bye(_ClientMessage):
    type: Literal["bye"]


class UnknownMessage(NamedTuple):
    """A message of unknown type: counted and ignored, because a newer client may send it."""

    type: str


class Limits(NamedTuple):
    max_message_bytes: int
    max_sdp_bytes: int


ClientMessage = Offer | ResumeSession | IceCandidate | Bye | UnknownMessage
_UNION_MEMBERS = ("RTCIceCandidateInit", "str")
"""Pydantic puts the name of the union's member into an error's location."""
_TYPES: dict[str, TypeAdapter[Any]] = {
    "offer": TypeAdapter(Offer),
    "resume": TypeAdapter(ResumeSession),
    "ice-candidate": TypeAdapter(IceCandidate),
    "bye": TypeAdapter(Bye),
}


def parse_client_message(text: str, limits: Limits) -> ClientMessage:
    """Read one message.

    Raises `PeerError` with code `message_too_large`, `bad_json`, `bad_message` or `sdp_too_large`.
    """
    payload = text.encode(errors="replace")
    if len(payload) > limits.max_message_bytes:
        raise PeerError(f"a message has at most {limits.max_message_bytes} bytes", code="message_too_large")
    try:
        # Not `json.loads`, which accepts lone surrogates and NaN and overflows the stack on deep nesting.
        content = pydantic_core.from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        raise PeerError(f"not JSON: {error}", code="bad_json") from error
    if not isinstance(content, dict) or not isinstance(message_type := content.get("type"), str):
        raise PeerError('a message is a JSON object with a string in its field "type"', code="bad_message")
    if message_type not in _TYPES:
        return UnknownMessage(message_type)
    try:
        message: ClientMessage = _TYPES[message_type].validate_python(content)
    except ValidationError as error:
        raise PeerError(f"{message_type}: {first_problem(error, ignore=_UNION_MEMBERS)}", code="bad_message") from error
    if isinstance(message, Offer) and len(message.sdp.encode()) > limits.max_sdp_bytes:
        raise PeerError(f"offer: sdp has at most {limits.max_sdp_bytes} bytes", code="sdp_too_large")
    return message
