import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.rtp import HEADER_SIZE, is_rtcp, pack_header_into, parse_header, signed_difference

PLAIN = bytes.fromhex("80ef1234000003c0deadbeef") + b"opus"


def test_reads_a_plain_header() -> None:
    header = parse_header(PLAIN)
    assert header == (111, 0x1234, 960, 0xDEADBEEF, 12, 16)


def test_skips_sources_extensions_and_padding() -> None:
    packet = bytes.fromhex("b26f0001000003c0000000010000000a0000000bbede000110ff0000") + b"opus" + b"\0\0\x03"
    header = parse_header(packet)
    assert header is not None
    assert packet[header.payload_start : header.payload_end] == b"opus"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        PLAIN[:11],
        b"\x40" + PLAIN[1:],  # version 1
        b"\x8f" + PLAIN[1:],  # fifteen sources are not there
        b"\x90" + PLAIN[1:12],  # an extension is not there
        b"\x90" + PLAIN[1:12] + bytes.fromhex("bede0009"),  # an extension is cut off
        b"\xa0" + PLAIN[1:12] + b"\x09",  # more padding than packet
    ],
)
def test_contradictory_lengths_are_not_a_header(packet: bytes) -> None:
    assert parse_header(packet) is None


@given(st.binary(max_size=200))
def test_whatever_comes_the_payload_lies_within_the_packet(packet: bytes) -> None:
    header = parse_header(packet)
    if header is not None:
        assert HEADER_SIZE <= header.payload_start <= header.payload_end <= len(packet)


@given(st.binary(min_size=12, max_size=120).map(lambda b: bytes([b[0] & 0x3F | 0x80]) + b[1:]))
def test_agrees_with_aiortc(packet: bytes) -> None:
    try:
        theirs = RtpPacket.parse(packet)
    except ValueError:
        return
    ours = parse_header(packet)
    assert ours is not None
    assert (ours.payload_type, ours.seq, ours.timestamp, ours.ssrc) == (
        theirs.payload_type,
        theirs.sequence_number,
        theirs.timestamp,
        theirs.ssrc,
    )
    assert packet[ours.payload_start : ours.payload_end] == theirs.payload


def test_writes_what_it_reads() -> None:
    buffer = bytearray(20)
    pack_header_into(buffer, 0, 0x80, 0x80 | 111, 65_535, 2**32 - 1, 7)
    assert parse_header(bytes(buffer)) == (111, 65_535, 2**32 - 1, 7, 12, 20)


def test_the_second_byte_tells_rtcp() -> None:
    """RFC 5761 §4: 200-204 are reports; 111 with and without marker is Opus."""
    assert all(map(is_rtcp, (192, 200, 201, 202, 203, 204, 205, 206, 207, 223)))
    assert not any(map(is_rtcp, (111, 111 | 0x80, 96, 127, 191, 224, 255)))


@pytest.mark.parametrize(
    ("newer", "older", "difference"),
    [(5, 3, 2), (3, 5, -2), (0, 65_535, 1), (65_535, 0, -1), (32_767, 0, 32_767), (32_768, 0, -32_768), (7, 7, 0)],
)
def test_difference_of_wrapping_counters(newer: int, older: int, difference: int) -> None:
    assert signed_difference(newer, older, 16) == difference


@given(st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_difference_undoes_addition(older: int, step: int) -> None:
    assert signed_difference((older + step) & 0xFFFFFFFF, older, 32) == step
