"""Failures between us and a vendor, with the messages and codes that users see."""

import json

from shared.errors import EngineError

_LONGEST_DETAIL = 200


class ConnectionLostError(EngineError):
    """The vendor closed the connection early. Another connection may do better."""

    code = "engine_broken"


def refusal(vendor: str, status: int, detail: str = "") -> EngineError:
    """For an HTTP status other than success. `detail` is what the vendor said."""
    said = f": {' '.join(detail.split())[:_LONGEST_DETAIL]}" if detail.strip() else ""
    if status in (401, 403):  # without the detail: some vendors repeat a part of the key
        return EngineError(f"{vendor} refuses the key (status {status})", code="engine_key_refused")
    if status == 429:
        return EngineError(f"{vendor} takes no more requests for now (status 429){said}", code="engine_busy")
    if status >= 500:
        return EngineError(f"{vendor} is out of order (status {status}){said}", code="engine_unavailable")
    if status >= 400:
        return EngineError(f"{vendor} refuses the request (status {status}){said}", code="engine_refused")
    return broken(vendor, f"status {status}")


def unreachable(vendor: str, error: Exception) -> EngineError:
    """No connection could be opened."""
    reason = str(error) or type(error).__name__
    return EngineError(f"{vendor} cannot be reached: {reason[:_LONGEST_DETAIL]}", code="engine_unavailable")


def lost(vendor: str, error: Exception) -> ConnectionLostError:
    return ConnectionLostError(f"{vendor} ended the connection in the middle: {str(error)[:_LONGEST_DETAIL]}")


def late(vendor: str) -> EngineError:
    return EngineError(f"{vendor} does not answer", code="engine_timeout")


def broken(vendor: str, what: str) -> EngineError:
    """The vendor sent `what`, which breaks its protocol."""
    return EngineError(f"{vendor} sent what cannot be understood: {what[:_LONGEST_DETAIL]}", code="engine_broken")


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
