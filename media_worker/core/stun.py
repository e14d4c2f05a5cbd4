"""STUN binding requests and responses (RFC 8489), as far as an ICE-lite agent needs them (RFC 8445 §2.5), and a client
that asks a server for its own address.

Untrusted input: `parse_request` and `parse_mapped_address` raise `StunError`, nothing else.
"""

import hashlib
import hmac
import ipaddress
import struct
import zlib
from typing import NamedTuple

from shared.errors import PeerError

MAGIC_COOKIE = 0x2112A442
_BINDING_REQUEST = 0x0001
_BINDING_SUCCESS = 0x0101
_BINDING_ERROR = 0x0111
_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_XOR_MAPPED_ADDRESS = 0x0020
_USE_CANDIDATE = 0x0025
_FINGERPRINT = 0x8028
_ICE_CONTROLLED = 0x8029
_FINGERPRINT_XOR = 0x5354554E
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_INTEGRITY_SIZE = 24
_FINGERPRINT_SIZE = 8
_MAX_USERNAME = 513  # RFC 8489 §14.3

Address = tuple[str, int]


class StunError(PeerError):
    """Not a binding request that we can answer."""

    code = "bad_stun"


class StunRefusal(StunError):
    """The server's error response to our request."""

    code = "stun_refused"


class BindingRequest(NamedTuple):
    """A parsed request. Not authenticated before `has_integrity`."""

    transaction_id: bytes
    local_ufrag: str
    """The part of USERNAME before the colon: ours."""
    use_candidate: bool
    sender_is_controlled: bool
    signed: bytes
    """The bytes that MESSAGE-INTEGRITY covers, with the length field that they were signed with."""
    integrity: bytes
    size: int
    """Of the whole request, in bytes."""


def parse_request(data: bytes) -> BindingRequest:
    """Read a binding request that carries USERNAME and MESSAGE-INTEGRITY. Raises `StunError`."""
    if len(data) < _HEADER.size:
        raise StunError("shorter than a header")
    message_type, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if message_type != _BINDING_REQUEST or cookie != MAGIC_COOKIE:
        raise StunError("not a binding request")
    if length % 4 or len(data) != _HEADER.size + length:
        raise StunError("length does not fit")
    username: bytes | None = None
    integrity_at: int | None = None
    use_candidate = controlled = False
    at = _HEADER.size
    while at + _ATTRIBUTE.size <= len(data):
        kind, size = _ATTRIBUTE.unpack_from(data, at)
        value = data[at + 4 : at + 4 + size]
        if len(value) != size:
            raise StunError("an attribute is cut off")
        if kind == _MESSAGE_INTEGRITY:
            if size != 20:
                raise StunError("MESSAGE-INTEGRITY has 20 bytes")
            integrity_at = at
            break  # RFC 8489 §14.5: attributes after it are ignored, except FINGERPRINT, which we do not need
        if kind == _USERNAME:
            username = value
        elif kind == _USE_CANDIDATE:
            use_candidate = True
        elif kind == _ICE_CONTROLLED:
            controlled = True
        at += 4 + size + (-size % 4)
    if username is None or integrity_at is None or len(username) > _MAX_USERNAME:
        raise StunError("no credentials")
    local_ufrag, colon, _ = username.partition(b":")
    if not colon or not username.isascii():
        raise StunError("USERNAME is not ours:theirs")
    signed_length = integrity_at - _HEADER.size + _INTEGRITY_SIZE
    return BindingRequest(
        transaction_id,
        local_ufrag.decode(),
        use_candidate,
        controlled,
        data[:2] + signed_length.to_bytes(2, "big") + data[4:integrity_at],
        data[integrity_at + 4 : integrity_at + 24],
        len(data),
    )


def has_integrity(request: BindingRequest, password: str) -> bool:
    """Whether the sender knows `password`, our ICE password for the session (RFC 8489 §9.1)."""
    expected = hmac.new(password.encode(), request.signed, hashlib.sha1).digest()
    return hmac.compare_digest(expected, request.integrity)


def success_response(request: BindingRequest, source: Address, password: str) -> bytes:
    """The response, with the address that we see the sender under."""
    return _seal(
        _BINDING_SUCCESS,
        request.transaction_id,
        _attribute(_XOR_MAPPED_ADDRESS, _xor_address(source, request.transaction_id)),
        password,
    )


def role_conflict_response(request: BindingRequest, password: str) -> bytes:
    """487: a lite agent is always controlled, so its peer must not be (RFC 8445 §7.3.1.1).

    Without a reason phrase, so that it is not longer than any request.
    """
    return _seal(
        _BINDING_ERROR,
        request.transaction_id,
        _attribute(_ERROR_CODE, bytes([0, 0, 4, 87])),
        password,
    )


def address_request(transaction_id: bytes) -> bytes:
    """Asks a STUN server which address we have."""
    return _HEADER.pack(_BINDING_REQUEST, 0, MAGIC_COOKIE, transaction_id)


def parse_mapped_address(data: bytes, transaction_id: bytes) -> Address:
    """Our address as the server sees it. Raises `StunError` for anything but the answer to `transaction_id`."""
    if len(data) < _HEADER.size:
        raise StunError("shorter than a header")
    message_type, length, cookie, answered_id = _HEADER.unpack_from(data)
    if cookie != MAGIC_COOKIE or answered_id != transaction_id or len(data) != _HEADER.size + length:
        raise StunError("no answer to this request")
    if message_type == _BINDING_ERROR:
        raise StunRefusal("the server refuses to tell the address")
    if message_type != _BINDING_SUCCESS:
        raise StunError("no response")
    at = _HEADER.size
    while at + _ATTRIBUTE.size <= len(data):
        kind, size = _ATTRIBUTE.unpack_from(data, at)
        value = data[at + 4 : at + 4 + size]
        if kind == _XOR_MAPPED_ADDRESS and len(value) == size:
            return _unxored(value, transaction_id)
        at += 4 + size + (-size % 4)
    raise StunError("no XOR-MAPPED-ADDRESS")


def _unxored(value: bytes, transaction_id: bytes) -> Address:
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction_id
    if (len(value), value[1:2]) not in ((8, b"\x01"), (20, b"\x02")):
        raise StunError("XOR-MAPPED-ADDRESS of another family, or cut off")
    port = int.from_bytes(value[2:4], "big") ^ (MAGIC_COOKIE >> 16)
    ip = ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], mask, strict=False)))
    if ip.is_unspecified or not port:
        raise StunError("no address")
    return str(ip), port


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def _xor_address(address: Address, transaction_id: bytes) -> bytes:
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction_id
    family = 1 if ip.version == 4 else 2
    port = address[1] ^ (MAGIC_COOKIE >> 16)
    return struct.pack("!BBH", 0, family, port) + bytes(a ^ b for a, b in zip(ip.packed, mask, strict=False))


def _seal(message_type: int, transaction_id: bytes, body: bytes, password: str) -> bytes:
    """Add MESSAGE-INTEGRITY and FINGERPRINT. Each covers a header whose length includes the attribute itself."""
    signed = _HEADER.pack(message_type, len(body) + _INTEGRITY_SIZE, MAGIC_COOKIE, transaction_id) + body
    body += _attribute(_MESSAGE_INTEGRITY, hmac.new(password.encode(), signed, hashlib.sha1).digest())
    summed = _HEADER.pack(message_type, len(body) + _FINGERPRINT_SIZE, MAGIC_COOKIE, transaction_id) + body
    return summed + _attribute(_FINGERPRINT, (zlib.crc32(summed) ^ _FINGERPRINT_XOR).to_bytes(4, "big"))
