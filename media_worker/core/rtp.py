"""RTP headers (RFC 3550 §5.1) and arithmetic on their wrapping counters."""

import struct
from typing import NamedTuple

HEADER_SIZE = 12
_HEADER = struct.Struct("!BBHII")
pack_header_into = _HEADER.pack_into
"""(buffer, offset, 0x80, marker << 7 | payload type, seq, timestamp, ssrc)"""


class RtpHeader(NamedTuple):
    """The parts of a header that we use; the payload is `packet[payload_start:payload_end]`."""

    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    payload_start: int
    payload_end: int


def is_rtcp(second_byte: int) -> bool:
    """RFC 5761 §4: payload types 64-95 with the marker bit set are RTCP."""
    return 192 <= second_byte <= 223


def parse_header(packet: bytes | memoryview) -> RtpHeader | None:
    """Read the header of a decrypted packet; None if it is malformed."""
    size = len(packet)
    if size < HEADER_SIZE:
        return None
    first, second, seq, timestamp, ssrc = _HEADER.unpack_from(packet)
    if first >> 6 != 2:
        return None
    start = HEADER_SIZE + 4 * (first & 0x0F)
    if first & 0x10:
        if start + 4 > size:
            return None
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    end = size
    if first & 0x20:
        end -= packet[size - 1]
    if end < start:
        return None
    return RtpHeader(second & 0x7F, seq, timestamp, ssrc, start, end)


def signed_difference(newer: int, older: int, bits: int) -> int:
    """`newer - older` on a counter of `bits` bits, between -2^(bits-1) and 2^(bits-1) - 1."""
    half = 1 << (bits - 1)
    return ((newer - older + half) & ((1 << bits) - 1)) - half
