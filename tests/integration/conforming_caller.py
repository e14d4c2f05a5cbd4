"""A caller who checks that every message of the server is as its definition says."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter

from callers.caller import Caller
from gateway.core.server_messages import ServerMessage
from shared.client_events import CLIENT_EVENTS

_EVENTS = {name: TypeAdapter[Any](event) for name, event in CLIENT_EVENTS.items()}
_MESSAGES = {
    get_args(message.__annotations__["type"])[0]: TypeAdapter[Any](message) for message in get_args(ServerMessage)
}


class ConformingCaller(Caller):
    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        for event in [*self.socket_events, *self.channel_events]:
            if event["type"] != "pong":
                check(event)


def check(message: Mapping[str, Any]) -> None:
    """Raises `pydantic.ValidationError` or `AssertionError`."""
    if "seq" not in message:
        _MESSAGES[message["type"]].validate_python(message, strict=True)
        return
    fields = {name: value for name, value in message.items() if name not in ("type", "seq", "data")}
    assert message["data"] == fields
    assert message["seq"] >= 1
    _EVENTS[message["type"]].validate_python(fields, strict=True)
