"""Frames on the pipe between the worker and a helper process: two lengths, a JSON header, raw bytes.

Standard library only, because helpers import it and should start fast.
"""

import asyncio
import json
import struct
from typing import Any, BinaryIO, NamedTuple

from shared.errors import EngineError

_LENGTHS = struct.Struct(">II")
_MAX_HEADER_BYTES = 4 << 20
_MAX_BODY_BYTES = 16 << 20
_CUT_OFF = "the pipe ended inside a frame"


class Frame(NamedTuple):
    header: dict[str, Any]
    body: bytes


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(encoded), len(body)), encoded, body))


async def receive(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame; None at the end of the pipe. Raises `EngineError` for invalid or incomplete frames."""
    try:
        lengths = await reader.readexactly(_LENGTHS.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise EngineError(_CUT_OFF) from error
        return None
    header_bytes, body_bytes = _lengths(lengths)
    try:
        content = await reader.readexactly(header_bytes + body_bytes)
    except asyncio.IncompleteReadError as error:
        raise EngineError(_CUT_OFF) from error
    return _frame(content, header_bytes)


def read(pipe: BinaryIO) -> Frame | None:
    """The same, blocking, for the helper's side."""
    lengths = pipe.read(_LENGTHS.size)
    if not lengths:
        return None
    header_bytes, body_bytes = _lengths(lengths)
    content = pipe.read(header_bytes + body_bytes)
    if len(content) != header_bytes + body_bytes:
        raise EngineError(_CUT_OFF)
    return _frame(content, header_bytes)


def _lengths(encoded: bytes) -> tuple[int, int]:
    if len(encoded) != _LENGTHS.size:
        raise EngineError(_CUT_OFF)
    header_bytes, body_bytes = _LENGTHS.unpack(encoded)
    if header_bytes > _MAX_HEADER_BYTES or body_bytes > _MAX_BODY_BYTES:
        raise EngineError("invalid frame on the pipe: its lengths are out of bounds")
    return header_bytes, body_bytes


def _frame(content: bytes, header_bytes: int) -> Frame:
    try:
        decoded = json.loads(content[:header_bytes])
    except ValueError as error:
        raise EngineError("a frame on the pipe has a header that is not JSON") from error
    if not isinstance(decoded, dict):
        raise EngineError("a frame on the pipe has a header that is not an object")
    return Frame(decoded, content[header_bytes:])
