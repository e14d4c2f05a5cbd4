"""Frames between a leader and a helper over TCP, which only those with the same key can write.

Each side proves that it has the key with an HMAC of both sides' random numbers. Every frame after that has an HMAC of
its direction, its number and its content: nobody on the way can change, repeat or insert one. There is no encryption.
"""

import asyncio
import hashlib
import hmac
import secrets
import struct
from typing import Self

from shared.errors import PeerError

LARGEST_FRAME = 8 << 20
_HANDSHAKE_TIMEOUT_S = 10.0
_WRITE_TIMEOUT_S = 10.0
_GREETING = b"antiphon-load 1\n"
_NONCE = 32
_MAC = 32
_length = struct.Struct("!I")


class LinkError(PeerError):
    """The other side is none of ours, or is gone."""

    code = "link_failed"


class Link:
    """Made by `open_link` or `accept_link`. Bytes in, bytes out; content is not its matter."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes, own: bytes, theirs: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._key = key
        self._own = own
        self._theirs = theirs
        self._sent = self._received = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Whoever waits for a frame gets a `LinkError`."""
        self._writer.close()

    async def send(self, content: bytes) -> None:
        """Raises `LinkError`."""
        if len(content) > LARGEST_FRAME:
            raise LinkError(f"a message of {len(content)} bytes is too large")
        mac = _mac(self._key, self._own, self._sent.to_bytes(8, "big"), content)
        self._sent += 1
        try:
            self._writer.write(_length.pack(len(content)) + mac + content)
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await self._writer.drain()
        except OSError as error:
            raise LinkError("the other side is gone") from error

    async def receive(self, timeout_s: float) -> bytes:
        """The next frame. Raises `LinkError` if it does not come in time, or is forged."""
        try:
            async with asyncio.timeout(timeout_s):
                (size,) = _length.unpack(await self._reader.readexactly(_length.size))
                if size > LARGEST_FRAME:
                    raise LinkError(f"a message of {size} bytes is too large")
                mac = await self._reader.readexactly(_MAC)
                content = await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LinkError("the other side is gone") from error
        if not hmac.compare_digest(mac, _mac(self._key, self._theirs, self._received.to_bytes(8, "big"), content)):
            raise LinkError("a message that the other side did not write", code="link_forged")
        self._received += 1
        return content


async def open_link(host: str, port: int, key: bytes) -> Link:
    """A helper's side. Raises `LinkError`: `no_leader`, or `key_refused` if the keys differ."""
    try:
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise LinkError(f"no leader at {host}:{port}: {error}", code="no_leader") from error
    return await _agree(reader, writer, key, own=b"helper", theirs=b"leader")


async def accept_link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes) -> Link:
    """A leader's side. Raises as `open_link`."""
    return await _agree(reader, writer, key, own=b"leader", theirs=b"helper")


async def _agree(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes, *, own: bytes, theirs: bytes
) -> Link:
    """The helper proves the key first, so that a leader tells strangers nothing to guess it from."""
    nonce = secrets.token_bytes(_NONCE)
    try:
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT_S):
            writer.write(_GREETING + nonce)
            if await reader.readexactly(len(_GREETING)) != _GREETING:
                raise LinkError("the other side is not `antiphon load` of this version")
            their_nonce = await reader.readexactly(_NONCE)
            ours, others = (nonce, their_nonce) if own == b"leader" else (their_nonce, nonce)
            if own == b"helper":
                writer.write(_mac(key, b"prove", own, ours, others))
            proof = await reader.readexactly(_MAC)
            if not hmac.compare_digest(proof, _mac(key, b"prove", theirs, ours, others)):
                raise LinkError("the other side has another key", code="key_refused")
            if own == b"leader":
                writer.write(_mac(key, b"prove", own, ours, others))
    except LinkError:
        writer.close()
        raise
    except asyncio.IncompleteReadError as error:
        writer.close()
        raise LinkError("the other side closed the connection: has it another key?", code="key_refused") from error
    except OSError as error:
        writer.close()
        raise LinkError("the other side does not answer") from error
    return Link(reader, writer, _mac(key, b"session", ours, others), own, theirs)


def _mac(key: bytes, *parts: bytes) -> bytes:
    """Parts but the last have fixed lengths for a given first one."""
    return hmac.digest(key, b"".join(parts), hashlib.sha256)
