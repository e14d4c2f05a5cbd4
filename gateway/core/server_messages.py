"""What a gateway says on the signaling channel by itself. Everything else are the session's events.

The types of the browser's client are made from these (`python -m tests.architecture.client_types`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, cast

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic reads the one of `typing` only from Python 3.12 on

from gateway.core.signaling_events import SendToClient

_documented = with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))
_Scope = Literal["signaling", "media"]


@_documented
class RTCIceServer(TypedDict):
    """As the browser takes it (W3C WebRTC §4.2.4)."""

    urls: str | list[str]
    username: NotRequired[str]
    credential: NotRequired[str]


@_documented
class SessionStarted(TypedDict):
    """Comes just before the answer to an offer that started or moved the session."""

    type: Literal["session"]
    sessionId: str
    resumeToken: str
    iceServers: list[RTCIceServer]
    expiresAt: int
    """Unix time in ms at which the session ends at the latest, and its token with it."""


@_documented
class SessionResumed(TypedDict):
    """The missed events follow."""

    type: Literal["resumed"]
    sessionId: str
    resumeToken: str
    expiresAt: int


@_documented
class Answer(TypedDict):
    type: Literal["answer"]
    sdp: str


@_documented
class Goaway(TypedDict):
    """The gateway (`signaling`) or the media worker (`media`) goes away after that time."""

    type: Literal["goaway"]
    timeLeftMs: int
    scope: _Scope
    reason: str


@_documented
class ServerError(TypedDict):
    """The offending message changed nothing, unless a close follows."""

    type: Literal["error"]
    code: str
    message: str
    retryAfterMs: NotRequired[int]


ServerMessage = SessionStarted | SessionResumed | Answer | Goaway | ServerError


def session(
    session_id: str, resume_token: str, ice_servers: Sequence[Mapping[str, Any]], expires_ms: int
) -> SendToClient:
    message: SessionStarted = {
        "type": "session",
        "sessionId": session_id,
        "resumeToken": resume_token,
        "iceServers": cast(list[RTCIceServer], list(ice_servers)),  # checked by the settings
        "expiresAt": expires_ms,
    }
    return SendToClient(message)


def resumed(session_id: str, resume_token: str, expires_ms: int) -> SendToClient:
    message: SessionResumed = {
        "type": "resumed",
        "sessionId": session_id,
        "resumeToken": resume_token,
        "expiresAt": expires_ms,
    }
    return SendToClient(message)


def answer(sdp: str) -> SendToClient:
    message: Answer = {"type": "answer", "sdp": sdp}
    return SendToClient(message)


def goaway(time_left_ms: int, scope: _Scope, reason: str) -> SendToClient:
    message: Goaway = {"type": "goaway", "timeLeftMs": time_left_ms, "scope": scope, "reason": reason}
    return SendToClient(message)


def error(code: str, message: str, retry_after_ms: int | None = None) -> SendToClient:
    content: ServerError = {"type": "error", "code": code, "message": message}
    if retry_after_ms is not None:
        content["retryAfterMs"] = retry_after_ms
    return SendToClient(content)
