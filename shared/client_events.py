"""Events for the client, the same on the data channel and the WebSocket.

The specification's JavaScript reads an event's fields at the top level, its server writes them under `data`; ours does
both. `seq` lets a client that reads both channels drop duplicates.
"""

from typing import Any


def client_event(event_type: str, seq: int, fields: dict[str, Any]) -> dict[str, Any]:
    """The event as JSON-able data, e.g. ``{"type": "transcript", "role": "user", ..., "seq": 7, "data": {...}}``."""
    return {**fields, "type": event_type, "seq": seq, "data": dict(fields)}
