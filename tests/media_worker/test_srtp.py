import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_worker import srtp
from media_worker.core.rtcp import bye, report
from media_worker.srtp import MAX_PACKET, SrtpCodec
from tests.fakes.srtp_pair import srtp_pairs

PLAIN = bytes.fromhex("80600001000000010000000a") + b"antiphon"


@pytest.fixture
def codecs() -> tuple[SrtpCodec, SrtpCodec]:
    ours, theirs = srtp_pairs()
    return SrtpCodec(ours), SrtpCodec(theirs)


def protect(codec: SrtpCodec, packet: bytes) -> bytes:
    srtp.tx_buffer[0 : len(packet)] = packet
    return codec.protect(len(packet))


def unprotect(codec: SrtpCodec, packet: bytes) -> bytes | None:
    size = codec.unprotect(packet)
    return None if size < 0 else srtp.rx_buffer[0:size]


def test_what_one_side_protects_the_other_reads(codecs: tuple[SrtpCodec, SrtpCodec]) -> None:
    ours, theirs = codecs
    packet = protect(ours, PLAIN)
    assert b"antiphon" not in packet
    assert unprotect(theirs, packet) == PLAIN
    assert unprotect(ours, protect(theirs, PLAIN)) == PLAIN


def test_a_forged_or_repeated_packet_is_refused(codecs: tuple[SrtpCodec, SrtpCodec]) -> None:
    ours, theirs = codecs
    packet = protect(ours, PLAIN)
    assert unprotect(theirs, packet[:-1] + bytes([packet[-1] ^ 1])) is None
    assert unprotect(theirs, packet) == PLAIN
    assert unprotect(theirs, packet) is None


@pytest.mark.parametrize("size", [0, 1, 11, 12, 27, MAX_PACKET, MAX_PACKET + 1, 2_048, 65_000])
def test_junk_of_any_size_is_refused(codecs: tuple[SrtpCodec, SrtpCodec], size: int) -> None:
    ours, _ = codecs
    assert unprotect(ours, b"\x80" * size) is None
    assert ours.unprotect_rtcp(b"\x80\xc8" * (size // 2)) is None


@given(st.binary(max_size=1_600))
def test_garbage_is_refused(data: bytes) -> None:
    ours, _ = srtp_pairs()
    assert SrtpCodec(ours).unprotect(data) == -1
    assert SrtpCodec(ours).unprotect_rtcp(data) is None


def test_reports_are_protected_too(codecs: tuple[SrtpCodec, SrtpCodec]) -> None:
    ours, theirs = codecs
    for plain in (report(1, "us", None, None), bye(1)):
        packet = ours.protect_rtcp(plain)
        assert theirs.unprotect_rtcp(packet) == plain
        assert theirs.unprotect_rtcp(packet) is None
        assert theirs.unprotect_rtcp(packet[:-1] + bytes([packet[-1] ^ 1])) is None


def test_the_keys_live_as_long_as_their_codec() -> None:
    ours, theirs = (SrtpCodec(pair) for pair in srtp_pairs())
    assert unprotect(theirs, protect(ours, PLAIN)) == PLAIN
