"""Failures between us and a vendor, with the messages and codes that users see.

What a vendor says may repeat what people said, so it is a detail, which is not logged. Its own codes are.
"""

import json
import re

from shared.errors import EngineError

_LONGEST_DETAIL = 200
_REASON = re.compile(r"(?=.*[a-z_])[A-Za-z0-9_.\[\]-]{1,64}")


class ConnectionLostError(EngineError):
    """The vendor closed the connection early. Another connection may do better."""

    code = "engine_broken"


def refusal(vendor: str, status: int, detail: str = "", reason: str = "") -> EngineError:
    """For an HTTP status other than success. `detail` is what the vendor said, `reason` its code."""
    said = " ".join(detail.split())[:_LONGEST_DETAIL]
    what = f"status {status}, {reason}" if reason else f"status {status}"
    if status in (401, 403):  # without the detail: some vendors repeat a part of the key
        return EngineError(f"{vendor} refuses the key (status {status})", code="engine_key_refused")
    if status == 429:
        return EngineError(f"{vendor} takes no more requests for now ({what})", code="engine_busy", detail=said)
    if status >= 500:
        return EngineError(f"{vendor} is out of order ({what})", code="engine_unavailable", detail=said)
    if status >= 400:
        return EngineError(f"{vendor} refuses the request ({what})", code="engine_refused", detail=said)
    return broken(vendor, f"status {status}")


def unreachable(vendor: str, error: Exception) -> EngineError:
    """No connection could be opened."""
    reason = str(error) or type(error).__name__
    return EngineError(f"{vendor} cannot be reached: {reason[:_LONGEST_DETAIL]}", code="engine_unavailable")


def lost(vendor: str, error: Exception) -> ConnectionLostError:
    return ConnectionLostError(f"{vendor} ended the connection in the middle", detail=str(error)[:_LONGEST_DETAIL])


def late(vendor: str) -> EngineError:
    return EngineError(f"{vendor} does not answer", code="engine_timeout")


def broken(vendor: str, what: str, detail: str = "") -> EngineError:
    """The vendor sent `what`, which breaks its protocol. `detail` may quote it."""
    message = f"{vendor} sent what cannot be understood: {what[:_LONGEST_DETAIL]}"
    return EngineError(message, code="engine_broken", detail=detail[:_LONGEST_DETAIL])


def broken_by(vendor: str, error: Exception) -> EngineError:
    """The same, found by `error` when its answer was read."""
    return broken(vendor, type(error).__name__, str(error))


def busy(vendor: str) -> EngineError:
    return EngineError(f"all connections to {vendor} are in use", code="engine_busy")


def message_in(body: str) -> str:
    """The message in the body of a refusal: from JSON if possible, otherwise the text unless it is a web page."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "" if body.lstrip().startswith("<") else body
    for key in ("detail", "error"):  # servers made with FastAPI wrap the usual error once more
        found = found.get(key, found) if isinstance(found, dict) else found
    if isinstance(found, dict):
        found = ": ".join(text for key in ("status", "message") if isinstance(text := found.get(key), str))
    if not isinstance(found, str):
        return ""
    return "" if found.lstrip().startswith("<") else found


def reason_in(body: str) -> str:
    """The codes in the body of a refusal, such as "invalid_request_error, context_length_exceeded"."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    for key in ("detail", "error"):
        found = found.get(key, found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        return ""
    codes = (found.get(key) for key in ("type", "code", "status", "param"))
    return ", ".join(dict.fromkeys(code for code in codes if isinstance(code, str) and _REASON.fullmatch(code)))
