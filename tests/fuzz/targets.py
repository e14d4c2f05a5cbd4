"""The parsers of untrusted bytes, each with what must hold for any input.

A target returns for input that it takes, raises `Refused` for input that the parser refuses in its own words, and
anything else for a fault.
"""

import hashlib
import hmac
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from struct import Struct

from gateway.core import tokens
from gateway.core.client_messages import Limits, parse_client_message
from media_worker.core import rtcp, rtp
from media_worker.core.control_messages import Ping, parse_control
from media_worker.core.ice_lite import Credentials, IceLiteAgent
from media_worker.core.jitter import Packet
from media_worker.core.path_selection import Path as NetworkPath
from media_worker.core.sctp_packet import is_well_formed
from media_worker.core.sdp_answer import LocalMedia, write_answer
from media_worker.core.sdp_offer import parse_offer
from media_worker.core.stun import StunError, parse_request
from media_worker.uplink import Uplink
from shared.errors import ConfigError, OfferError, PeerError, WireError
from shared.frames import AudioFrame, SilenceRun
from shared.io.agent_files import load_agents
from shared.wire import decode_batch, encode_batch

_HERE = Path(__file__).parent
_PASSWORD = "0123456789abcdef0123456789abcdef"
_TOKEN_KEYS = {"fuzz": _PASSWORD}
_SIGNED_AT_S = 1_700_000_000
_LIMITS = Limits(max_message_bytes=4_096, max_sdp_bytes=2_048)
_ADDRESSES = NetworkPath(0, ("192.0.2.1", 9)), NetworkPath(1, ("2001:db8::1", 9, 0, 0))
_ARRIVAL = Struct("!HIBH")  # sequence number, timestamp, milliseconds since the last one, size
_LOCAL = LocalMedia(Credentials("ours", _PASSWORD), "sha-256 AA", (("127.0.0.1", 9),), 1, "antiphon", 1)


class Refused(Exception):
    """The parser's own error for bad input."""


def stun(data: bytes) -> None:
    try:
        request = parse_request(data)
    except StunError as error:
        raise Refused from error
    signature = hmac.new(_PASSWORD.encode(), request.signed, hashlib.sha1).digest()
    for address in _ADDRESSES:
        agent = IceLiteAgent(Credentials(request.local_ufrag, _PASSWORD))
        assert agent.on_request(request, address, 0.0) is None or request.integrity == signature
        answered = agent.on_request(request._replace(integrity=signature), address, 0.0)
        if answered is not None:
            assert len(answered.response) <= len(data), "the answer is longer than the request"
            assert len(answered.response) == 20 + int.from_bytes(answered.response[2:4], "big")


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


def uplink(data: bytes) -> None:
    """Packets of a caller, once decrypted: their time line has no gap, and is bounded by ours."""
    items: list[AudioFrame | SilenceRun] = []
    line = Uplink("s1", 1, items.append, 0.02)
    line.begin(0.0)
    at = arrived_ms = tick_ms = 0
    while at + _ARRIVAL.size <= len(data):
        seq, timestamp, wait_ms, size = _ARRIVAL.unpack_from(data, at)
        at += _ARRIVAL.size
        arrived_ms += wait_ms
        while tick_ms <= arrived_ms:
            line.tick(tick_ms / 1000)
            tick_ms += 20
        line.on_packet(Packet(seq, timestamp, data[at : at + size]), arrived_ms / 1000)
        at += size
    if not arrived_ms:
        raise Refused
    end = 0
    for item in items:
        assert item.first_sample == end and item.samples > 0
        end = item.end_sample
    assert arrived_ms - 2_500 <= end / 16 <= 1.5 * arrived_ms + 4_500


def sctp(data: bytes) -> None:
    if not is_well_formed(data):
        raise Refused


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


def agent_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "agent.yaml").write_bytes(data)
        try:
            (agent,) = load_agents(Path(folder)).values()
        except ConfigError as error:
            assert "agent.yaml" in error.message, "an error names its file"
            raise Refused from error
    names = [tool.name for tool in agent.tools]
    assert len(set(names)) == len(names)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "stun": stun,
    "offer": offer,
    "client-message": client_message,
    "token": token,
    "control-message": control_message,
    "rtp": rtp_header,
    "rtcp": rtcp_packet,
    "uplink": uplink,
    "sctp": sctp,
    "batch": batch,
    "agent-file": agent_file,
}
SEEDS = {name: _HERE / "seeds" / name for name in TARGETS} | {"offer": _HERE.parent / "media_worker/core/offers"}
"""Folders of input that the parser accepts."""
