"""Datagrams that an attacker sends, and the sockets they send them from."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from struct import pack

from aioice import stun as aioice_stun
from aiortc.rtcsctptransport import Chunk, DataChunk, RTCSctpTransport, SackChunk, serialize_packet

SCTP_CHUNKS = 50
Address = tuple[str, int]


@contextmanager
def sockets(count: int) -> Iterator[list[socket.socket]]:
    opened = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in opened:
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        yield opened
    finally:
        for each in opened:
            each.close()


def received(each: socket.socket) -> list[bytes]:
    datagrams = []
    try:
        while True:
            datagrams.append(each.recv(2_048))
    except BlockingIOError:
        return datagrams


def null_cipher_hello() -> bytes:
    """A DTLS 1.2 ClientHello (RFC 6347 §4.2) whose only cipher suite is NULL."""
    body = b"\xfe\xfd" + secrets.token_bytes(32) + b"\0\0" + b"\0\2\0\0" + b"\1\0"
    length = len(body).to_bytes(3, "big")
    handshake = b"\1" + length + b"\0\0" + bytes(3) + length + body
    return b"\x16\xfe\xff" + bytes(8) + len(handshake).to_bytes(2, "big") + handshake


def junk(number: int) -> bytes:
    return bytes([20 + number % 200]) + secrets.token_bytes(60)


def check(ufrag: str, password: str, nominates: bool = True) -> bytes:
    message = aioice_stun.Message(message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ufrag}:theirs"
    message.attributes["PRIORITY"] = 1
    if nominates:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return bytes(message)


class _Written(Chunk):
    """A chunk that is sent as it is, valid or not."""

    def __bytes__(self) -> bytes:
        return self.body


def misuse(attack: str, sctp: RTCSctpTransport, number: int) -> bytes:
    """An SCTP packet with a valid checksum."""
    chunks: list[Chunk]
    match attack:
        case "a hole":
            first = sctp._local_tsn + 1 + number * SCTP_CHUNKS
            tsns = [(first + n) % 2**32 for n in range(SCTP_CHUNKS)]
            chunks = [DataChunk(body=pack("!LHHL", tsn, 2, 0, 51) + b"x") for tsn in tsns]
        case "no length":
            chunks = [_Written(body=bytes([4, 0, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0]))]  # a heartbeat
        case _:
            every = pack("!HH", 1, 0xFFFF) * 250
            chunks = [SackChunk(body=pack("!LLHH", sctp._last_received_tsn, 1_000_000, 250, 0) + every)]
    body = b"".join(map(bytes, chunks))
    return serialize_packet(5_000, 5_000, sctp._remote_verification_tag, _Written(body=body))
