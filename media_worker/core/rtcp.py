"""RTCP (RFC 3550 §6): writes our reports, reads the caller's."""

import struct
from typing import NamedTuple

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_NTP_EPOCH_OFFSET_S = 2_208_988_800
_REPORT_BLOCK = struct.Struct("!IIIIII")
_MAX_PACKETS = 32


class ReceptionStats(NamedTuple):
    """Our report block about the stream that we receive from the caller."""

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    highest_seq: int
    jitter: int
    last_sr: int
    delay_since_sr: int
    expected_since: int = 0
    """Packets since the previous report, with those that were lost. Not part of the block."""


class SenderInfo(NamedTuple):
    ntp_s: float
    rtp_timestamp: int
    packets: int
    octets: int


class PeerReport(NamedTuple):
    """The parts that we use of the caller's report block about our stream."""

    ssrc: int
    fraction_lost: float
    last_sr: int
    delay_since_sr_s: float


class RtcpReceived(NamedTuple):
    """The parts of a compound packet that we act on."""

    sender_ntp_middle: int | None
    reports: list[PeerReport]
    is_bye: bool


def report(ssrc: int, cname: str, sent: SenderInfo | None, received: ReceptionStats | None) -> bytes:
    """A compound packet: an SR if we sent since the last one, else an RR, with SDES CNAME (RFC 3550 §6.4, §6.5)."""
    blocks = b"" if received is None else _block(received)
    if sent is not None:
        body = struct.pack("!I", ssrc) + ntp_timestamp(sent.ntp_s).to_bytes(8, "big")
        body += struct.pack("!III", sent.rtp_timestamp, sent.packets & 0xFFFFFFFF, sent.octets & 0xFFFFFFFF)
        packet = _packet(_SR, 1 if blocks else 0, body + blocks)
    else:
        packet = _packet(_RR, 1 if blocks else 0, struct.pack("!I", ssrc) + blocks)
    name = cname.encode()[:255]
    chunk = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\0"
    return packet + _packet(_SDES, 1, chunk + bytes(-len(chunk) % 4))


def bye(ssrc: int) -> bytes:
    """RFC 3550 §6.6. A compound packet starts with a report."""
    return _packet(_RR, 0, struct.pack("!I", ssrc)) + _packet(_BYE, 1, struct.pack("!I", ssrc))


def parse(data: bytes) -> RtcpReceived:
    """Read a decrypted compound packet up to its end or its first malformed part."""
    sender_ntp_middle: int | None = None
    reports: list[PeerReport] = []
    is_bye = False
    at = 0
    for _ in range(_MAX_PACKETS):
        if at + 4 > len(data) or data[at] >> 6 != 2:
            break
        count, kind = data[at] & 0x1F, data[at + 1]
        end = at + 4 + 4 * (data[at + 2] << 8 | data[at + 3])
        if end > len(data):
            break
        if kind == _SR and end - at >= 28:
            sender_ntp_middle = int.from_bytes(data[at + 10 : at + 14], "big")
            reports += _blocks(data[at + 28 : end], count)
        elif kind == _RR and end - at >= 8:
            reports += _blocks(data[at + 8 : end], count)
        elif kind == _BYE:
            is_bye = True
        at = end
    return RtcpReceived(sender_ntp_middle, reports, is_bye)


def ntp_timestamp(unix_s: float) -> int:
    """64-bit NTP time (RFC 3550 §4)."""
    return int((unix_s + _NTP_EPOCH_OFFSET_S) * 2**32) & 0xFFFFFFFFFFFFFFFF


def ntp_middle(unix_s: float) -> int:
    """The middle 32 bits, which LSR and RTT arithmetic use."""
    return ntp_timestamp(unix_s) >> 16 & 0xFFFFFFFF


def round_trip_s(peer: PeerReport, now_unix_s: float) -> float | None:
    """RFC 3550 §6.4.1: arrival - LSR - DLSR; None before the caller has seen a sender report of ours."""
    if peer.last_sr == 0:
        return None
    elapsed = (ntp_middle(now_unix_s) - peer.last_sr) & 0xFFFFFFFF
    return max(0.0, elapsed / 65_536 - peer.delay_since_sr_s)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def _block(stats: ReceptionStats) -> bytes:
    lost = max(-(2**23), min(2**23 - 1, stats.cumulative_lost)) & 0xFFFFFF
    return _REPORT_BLOCK.pack(
        stats.ssrc,
        (stats.fraction_lost & 0xFF) << 24 | lost,
        stats.highest_seq & 0xFFFFFFFF,
        stats.jitter & 0xFFFFFFFF,
        stats.last_sr,
        stats.delay_since_sr,
    )


def _blocks(body: bytes, count: int) -> list[PeerReport]:
    found = []
    for index in range(min(count, len(body) // _REPORT_BLOCK.size)):
        ssrc, lost, _, _, last_sr, delay = _REPORT_BLOCK.unpack_from(body, index * _REPORT_BLOCK.size)
        found.append(PeerReport(ssrc, (lost >> 24) / 256, last_sr, delay / 65_536))
    return found
