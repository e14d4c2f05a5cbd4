"""What a gateway says on the signaling channel by itself. Everything else are the session's events."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gateway.core.signaling_events import SendToClient


def session(
    session_id: str, resume_token: str, ice_servers: Sequence[Mapping[str, Any]], expires_ms: int
) -> SendToClient:
    """`expires_ms`: Unix time at which the session ends at the latest, and its token with it."""
    return SendToClient(
        {
            "type": "session",
            "sessionId": session_id,
            "resumeToken": resume_token,
            "iceServers": list(ice_servers),
            "expiresAt": expires_ms,
        }
    )


def resumed(session_id: str, resume_token: str, expires_ms: int) -> SendToClient:
    return SendToClient(
        {"type": "resumed", "sessionId": session_id, "resumeToken": resume_token, "expiresAt": expires_ms}
    )


def answer(sdp: str) -> SendToClient:
    return SendToClient({"type": "answer", "sdp": sdp})


def goaway(time_left_ms: int, scope: Literal["signaling", "media"], reason: str) -> SendToClient:
    return SendToClient({"type": "goaway", "timeLeftMs": time_left_ms, "scope": scope, "reason": reason})


def error(code: str, message: str, retry_after_ms: int | None = None) -> SendToClient:
    content: dict[str, Any] = {"type": "error", "code": code, "message": message}
    if retry_after_ms is not None:
        content["retryAfterMs"] = retry_after_ms
    return SendToClient(content)
