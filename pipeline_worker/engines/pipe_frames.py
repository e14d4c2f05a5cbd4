"""Frames on the pipe between this worker and a helper process: two lengths, a JSON header, raw bytes.

Standard library only: helpers import it too, and should start fast.
"""

import asyncio
import json
import struct
from typing import Any, BinaryIO, NamedTuple

from shared.errors import EngineError

_LENGTHS = struct.Struct(">II")
_MAX_HEADER_BYTES = 4 << 20
_MAX_BODY_BYTES = 16 << 20


class Frame(NamedTuple):
    header: dict[str, Any]
    body: bytes


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(encoded), len(body)), encoded, body))


async def receive(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, None when the pipe ended between two frames. `EngineError` for anything else."""
    try:
        header_bytes, body_bytes = _lengths(await reader.readexactly(_LENGTHS.size))
        header = await reader.readexactly(header_bytes)
        return _frame(header, await reader.readexactly(body_bytes))
    except asyncio.IncompleteReadError as error:
        if error.partial or error.expected != _LENGTHS.size:
            raise EngineError("the helper's pipe ended inside a frame") from error
        return None


def read(pipe: BinaryIO) -> Frame | None:
    """As `receive`, blocking: for the helper's side."""
    lengths = pipe.read(_LENGTHS.size)
    if not lengths:
        return None
    header_bytes, body_bytes = _lengths(lengths)
    return _frame(pipe.read(header_bytes), pipe.read(body_bytes))


def _lengths(encoded: bytes) -> tuple[int, int]:
    if len(encoded) != _LENGTHS.size:
        raise EngineError("the pipe ended inside a frame")
    header_bytes, body_bytes = _LENGTHS.unpack(encoded)
    if header_bytes > _MAX_HEADER_BYTES or body_bytes > _MAX_BODY_BYTES:
        raise EngineError("not a frame on the pipe: its lengths are out of bounds")
    return header_bytes, body_bytes


def _frame(header: bytes, body: bytes) -> Frame:
    try:
        decoded = json.loads(header)
    except ValueError as error:
        raise EngineError("a frame on the pipe has a header that is not JSON") from error
    if not isinstance(decoded, dict):
        raise EngineError("a frame on the pipe has a header that is not an object")
    return Frame(decoded, body)
