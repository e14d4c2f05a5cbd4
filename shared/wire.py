"""Batches of messages as bytes: a version byte, then msgpack. Never a class name, never pickle.

A batch names its sender and a number that grows by one, because a write whose reply was lost may have been
applied: the sender repeats the same batch and the reader drops the second copy.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgpack
from pydantic import TypeAdapter, ValidationError

from shared.errors import WireError
from shared.events import AnyMessage, Message
from shared.frames import AudioFrame, SilenceRun

VERSION = 1
_AUDIO, _SILENCE, _MESSAGE = 0, 1, 2
_VERSION_BYTE = bytes([VERSION])
_messages: TypeAdapter[Message] = TypeAdapter(AnyMessage)

Item = AudioFrame | SilenceRun | Message


class Batch(NamedTuple):
    sender: str
    number: int
    items: list[Item]
    malformed: int
    """Items that could not be read: a newer sender's message must not cost us the rest of its batch."""


def encode_batch(sender: str, number: int, items: Iterable[Item]) -> bytes:
    packed: list[Any] = [sender, number]
    for item in items:
        if type(item) is AudioFrame:
            packed.append((_AUDIO, *item))
        elif type(item) is SilenceRun:
            packed.append((_SILENCE, *item))
        elif isinstance(item, Message):
            packed.append((_MESSAGE, item.model_dump()))
    payload: bytes = msgpack.packb(packed)
    return _VERSION_BYTE + payload


def decode_batch(payload: bytes) -> Batch:
    """Read a batch. Raises `WireError` if it is none; single items that make no sense are counted, not raised."""
    if not payload or payload[0] != VERSION:
        raise WireError(f"not a batch of wire version {VERSION}", code="wire_version")
    try:
        sender, number, *packed = msgpack.unpackb(memoryview(payload)[1:], strict_map_key=True)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(f"not a batch: {error}") from error
    if not isinstance(sender, str) or type(number) is not int:
        raise WireError("a batch begins with its sender and number")
    items: list[Item] = []
    malformed = 0
    for fields in packed:
        try:
            items.append(_decode_item(fields))
        except (WireError, ValidationError):
            malformed += 1
    return Batch(sender, number, items, malformed)


def encode_message(message: Message) -> bytes:
    """One message outside a batch (a job)."""
    payload: bytes = msgpack.packb(message.model_dump())
    return _VERSION_BYTE + payload


def decode_message(payload: bytes) -> Message:
    if not payload or payload[0] != VERSION:
        raise WireError(f"not a message of wire version {VERSION}", code="wire_version")
    try:
        return _messages.validate_python(msgpack.unpackb(memoryview(payload)[1:]))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(f"not a message: {error}") from error


def _decode_item(fields: Any) -> Item:
    match fields:
        case [0, str(), int(epoch), int(seq), int(first), int(rate), int(channels), bytes(pcm)]:
            if channels not in (1, 2) or len(pcm) % (2 * channels):
                raise WireError("audio is mono or stereo and whole samples")
            if rate <= 0 or epoch < 0 or seq < 0 or first < 0:
                raise WireError("audio has a rate and a position")
            return AudioFrame(*fields[1:])
        case [1, str(), int(epoch), int(seq), int(first), int(rate), int(samples)]:
            if rate <= 0 or epoch < 0 or seq < 0 or first < 0 or samples < 0:
                raise WireError("silence has a rate, a position and a length")
            return SilenceRun(*fields[1:])
        case [2, dict(message)]:
            return _messages.validate_python(message)
    raise WireError("no such item")
