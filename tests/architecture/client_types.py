"""Writes the types of the client's messages. `python -m tests.architecture.client_types` updates the file."""

import re
import textwrap
from typing import Any, get_args

from pydantic import TypeAdapter

from gateway.core import client_messages, server_messages
from media_worker.core import control_messages
from shared.client_events import CLIENT_EVENTS, Role
from shared.events import StatusWord
from tests.architecture.source_tree import ROOT

FILE = ROOT / "client" / "src" / "core" / "messages.d.ts"
_HEADER = "/** The messages between a client and Antiphon. Made from Python by tests/architecture/client_types.py. */\n"
_LINE = 120
_UNIONS = {
    "ClientMessage": tuple(each for each in get_args(client_messages.ClientMessage) if hasattr(each, "model_fields")),
    # All the server's candidates are in its answer, yet a client must take more.
    "SignalingMessage": (*get_args(server_messages.ServerMessage), client_messages.IceCandidate),
    "SessionEvent": tuple(CLIENT_EVENTS.values()),
    "ControlMessage": get_args(control_messages.ControlMessage),
}
_ALIASES = {
    " | ".join(map(repr, get_args(words))): name for name, words in [("Role", Role), ("StatusWord", StatusWord)]
}
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def client_types() -> str:
    """The content of messages.d.ts."""
    event_types = {event: name for name, event in CLIENT_EVENTS.items()}
    messages = dict.fromkeys(message for members in _UNIONS.values() for message in members)
    blocks = [_HEADER]
    blocks += [_union(name, [member.__name__ for member in members]) for name, members in _UNIONS.items()]
    blocks += [f"export type {name} = {words};\n" for words, name in _ALIASES.items()]
    blocks += [_interface(message, event_types.get(message)) for message in messages]
    return "\n".join(blocks)


def _union(name: str, members: list[str]) -> str:
    line = f"export type {name} = {' | '.join(members)};"
    return "\n".join(textwrap.wrap(line, _LINE, subsequent_indent="  ", break_long_words=False)) + "\n"


def _interface(message: Any, event_type: str | None) -> str:
    schema = TypeAdapter(message).json_schema()
    fields = [
        _field(name, field, is_required=name in schema["required"]) for name, field in schema["properties"].items()
    ]
    if event_type is not None:
        fields = [f"  type: '{event_type}';\n", *fields, "  seq: number;\n"]
    return f"{_comment(schema)}export interface {message.__name__} {{\n{''.join(fields)}}}\n"


def _field(name: str, schema: dict[str, Any], is_required: bool) -> str:
    return f"{_comment(schema, '  ')}  {name}{'' if is_required else '?'}: {_type(schema)};\n"


def _comment(schema: dict[str, Any], indent: str = "") -> str:
    text = re.sub(r"\s+", " ", schema.get("description", ""))
    return f"{indent}/** {text} */\n" if text else ""


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:  # only those that browsers define have names
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        words = " | ".join(map(repr, schema["enum"]))
        return _ALIASES.get(words, words)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    match schema["type"]:
        case "array":
            return f"{_type(schema['items'])}[]"
        case "object":
            return "Record<string, unknown>"
        case plain:
            return _PLAIN[plain]


if __name__ == "__main__":
    FILE.write_text(client_types(), encoding="utf-8")
