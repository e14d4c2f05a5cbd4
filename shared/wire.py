"""Batches of messages as bytes: a version byte, then msgpack. No class names, no pickle.

A batch carries its sender and a number that grows. A write whose reply was lost may have been applied, so the sender
writes the same batch again and the reader drops the second copy. It also carries the number of the sender's previous
batch for the same reader, who notices by it that a batch was lost.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgpack
from pydantic import TypeAdapter, ValidationError

from shared.audio import BYTES_PER_SAMPLE
from shared.errors import WireError
from shared.events import AnyMessage, Message
from shared.frames import AudioFrame, SilenceRun
from shared.keys import WIRE_VERSION

VERSION = WIRE_VERSION
_AUDIO, _SILENCE, _MESSAGE = 0, 1, 2
_VERSION_BYTE = bytes([VERSION])
_messages: TypeAdapter[Message] = TypeAdapter(AnyMessage)

Item = AudioFrame | SilenceRun | Message


class Batch(NamedTuple):
    sender: str
    number: int
    previous: int
    """The number of the sender's last batch for this reader; 0 if this is the first."""
    items: list[Item]
    malformed: int = 0
    """Number of unreadable items. A message of a newer version must not cost the rest of its batch."""


def encode_batch(sender: str, number: int, previous: int, items: Iterable[Item]) -> bytes:
    """Raises `ValueError` for an item that is nested too deeply."""
    packed: list[Any] = [sender, number, previous]
    for item in items:
        if type(item) is AudioFrame:
            packed.append((_AUDIO, *item))
        elif type(item) is SilenceRun:
            packed.append((_SILENCE, *item))
        elif isinstance(item, Message):
            packed.append((_MESSAGE, item.model_dump()))
    # Output of vendors and models passes through here: a lone surrogate or a number of thirty digits must not make the
    # whole batch unencodable.
    payload: bytes = msgpack.packb(packed, default=str, unicode_errors="replace")
    return _VERSION_BYTE + payload


def decode_batch(payload: bytes) -> Batch:
    """Read a batch. Raises `WireError` if it is not one; unreadable items in it are counted, not raised."""
    if not payload or payload[0] != VERSION:
        raise WireError(f"not a batch of wire version {VERSION}", code="wire_version")
    try:
        sender, number, previous, *packed = msgpack.unpackb(memoryview(payload)[1:], strict_map_key=True)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(f"not a batch: {error}") from error
    if not isinstance(sender, str) or type(number) is not int or type(previous) is not int:
        raise WireError("a batch starts with its sender, its number and the previous number")
    items: list[Item] = []
    malformed = 0
    for fields in packed:
        try:
            items.append(_decode_item(fields))
        except (WireError, ValidationError):
            malformed += 1
    return Batch(sender, number, previous, items, malformed)


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


_AUDIO_SHAPE = (int, str, int, int, int, int, int, bytes)
_SILENCE_SHAPE = (int, str, int, int, int, int, int)
_MESSAGE_SHAPE = (int, dict)


def _decode_item(fields: Any) -> Item:
    # Hot path, ten thousand frames a second: all types are checked in one comparison.
    shape = tuple(map(type, fields)) if type(fields) is list else ()
    if shape == _AUDIO_SHAPE and fields[0] == _AUDIO:
        frame = AudioFrame._make(fields[1:])
        if frame.channels != 1 or len(frame.pcm) % BYTES_PER_SAMPLE:
            raise WireError("audio is mono and whole samples")
        if frame.sample_rate <= 0 or frame.epoch < 0 or frame.seq < 0 or frame.first_sample < 0:
            raise WireError("audio has a rate and a position")
        return frame
    if shape == _SILENCE_SHAPE and fields[0] == _SILENCE:
        run = SilenceRun._make(fields[1:])
        if run.sample_rate <= 0 or run.epoch < 0 or run.seq < 0 or run.first_sample < 0 or run.samples < 0:
            raise WireError("silence has a rate, a position and a length")
        return run
    if shape == _MESSAGE_SHAPE and fields[0] == _MESSAGE:
        return _messages.validate_python(fields[1])
    raise WireError("unknown item")
