"""The parsers of untrusted bytes, each with what must hold for any input.

A target returns for input that it takes, raises `Refused` for input that the parser refuses in its own words, and
anything else for a fault.
"""

import json
from collections.abc import Callable
from pathlib import Path

from gateway.core import tokens
from gateway.core.client_messages import Limits, parse_client_message
from media_worker.core import rtcp, rtp
from media_worker.core.control_messages import Ping, parse_control
from media_worker.core.ice_lite import Credentials
from media_worker.core.sdp_answer import LocalMedia, write_answer
from media_worker.core.sdp_offer import parse_offer
from media_worker.core.stun import StunError, has_integrity, parse_request, success_response
from shared.errors import OfferError, PeerError, WireError
from shared.wire import decode_batch, encode_batch

_HERE = Path(__file__).parent
_PASSWORD = "0123456789abcdef0123456789abcdef"
_TOKEN_KEYS = {"fuzz": _PASSWORD}
_SIGNED_AT_S = 1_700_000_000
_LIMITS = Limits(max_message_bytes=4_096, max_sdp_bytes=2_048)
_LOCAL = LocalMedia(Credentials("ours", _PASSWORD), "sha-256 AA", (("127.0.0.1", 9),), 1, "antiphon", 1)


class Refused(Exception):
    """The parser's own error for bad input."""


def stun(data: bytes) -> None:
    try:
        request = parse_request(data)
    except StunError as error:
        raise Refused from error
    has_integrity(request, _PASSWORD)
    response = success_response(request, ("127.0.0.1", 9), _PASSWORD)
    assert len(response) == 20 + int.from_bytes(response[2:4], "big")


def offer(data: bytes) -> None:
    try:
        parsed = parse_offer(data.decode(errors="replace"))
    except OfferError as error:
        raise Refused from error
    lines = write_answer(parsed, _LOCAL).split("\r\n")
    assert lines.pop() == ""
    assert all(line[1:2] == "=" and line.isprintable() for line in lines), "an offer wrote into our answer"
    assert sum(line.startswith("m=") for line in lines) == len(parsed.sections)
    assert sum(line.startswith("a=ice-pwd:") for line in lines) in (1, 2)


def client_message(data: bytes) -> None:
    try:
        parse_client_message(data.decode(errors="surrogateescape"), _LIMITS)
    except PeerError as error:
        raise Refused from error


def token(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    try:
        grant = tokens.read(text, _TOKEN_KEYS, _SIGNED_AT_S)
    except PeerError as error:
        raise Refused from error
    assert tokens.sign(grant, _TOKEN_KEYS, _SIGNED_AT_S) == text, "a token that we did not sign"


def control_message(data: bytes) -> None:
    try:
        control = parse_control(data.decode(errors="replace"))
    except PeerError as error:
        raise Refused from error
    if isinstance(control, Ping):
        json.dumps({"id": control.id}, allow_nan=False).encode()


def rtp_header(data: bytes) -> None:
    header = rtp.parse_header(data)
    if header is None:
        raise Refused
    assert rtp.HEADER_SIZE <= header.payload_start <= header.payload_end <= len(data)


def rtcp_packet(data: bytes) -> None:
    received = rtcp.parse(data)
    for report in received.reports:
        round_trip_s = rtcp.round_trip_s(report, 1_700_000_000.0)
        assert round_trip_s is None or round_trip_s >= 0
    if received == rtcp.RtcpReceived(None, [], False):
        raise Refused


def batch(data: bytes) -> None:
    try:
        sender, number, previous, items, _ = decode_batch(data)
    except WireError as error:
        raise Refused from error
    again = decode_batch(encode_batch(sender, number, previous, items))
    assert (again[:3], len(again.items), again.malformed) == ((sender, number, previous), len(items), 0)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "stun": stun,
    "offer": offer,
    "client-message": client_message,
    "token": token,
    "control-message": control_message,
    "rtp": rtp_header,
    "rtcp": rtcp_packet,
    "batch": batch,
}
SEEDS = {name: _HERE / "seeds" / name for name in TARGETS} | {"offer": _HERE.parent / "media_worker/core/offers"}
"""Folders of input that the parser accepts."""
