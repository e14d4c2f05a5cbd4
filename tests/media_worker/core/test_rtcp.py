import pytest
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpRrPacket, RtcpSdesPacket, RtcpSrPacket
from aiortc.rtp import RtcpReceiverInfo as TheirReceiverInfo
from aiortc.rtp import RtcpSenderInfo as TheirSenderInfo
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.rtcp import (
    PeerReport,
    ReceptionStats,
    SenderInfo,
    bye,
    ntp_middle,
    ntp_timestamp,
    parse,
    report,
    round_trip_s,
)

HEARD = ReceptionStats(
    ssrc=77, fraction_lost=64, cumulative_lost=-3, highest_seq=0x1_0005, jitter=120, last_sr=5, delay_since_sr=65_536
)
SENT = SenderInfo(ntp_s=1_700_000_000.5, rtp_timestamp=4_000_000_000, packets=2**32 + 3, octets=900)


def test_aiortc_reads_our_sender_report() -> None:
    sender, description = RtcpPacket.parse(report(42, "us", SENT, HEARD))
    assert isinstance(sender, RtcpSrPacket)
    assert sender.ssrc == 42
    assert sender.sender_info.ntp_timestamp == ntp_timestamp(SENT.ntp_s)
    assert sender.sender_info.rtp_timestamp == SENT.rtp_timestamp
    assert (sender.sender_info.packet_count, sender.sender_info.octet_count) == (3, 900)
    (block,) = sender.reports
    assert (block.ssrc, block.fraction_lost, block.packets_lost) == (77, 64, -3)
    assert (block.highest_sequence, block.jitter, block.lsr, block.dlsr) == (0x1_0005, 120, 5, 65_536)
    assert isinstance(description, RtcpSdesPacket)
    assert description.chunks[0].ssrc == 42
    assert description.chunks[0].items == [(1, b"us")]


def test_without_sent_media_the_report_is_a_receiver_report() -> None:
    receiver, description = RtcpPacket.parse(report(42, "us", None, HEARD))
    assert isinstance(receiver, RtcpRrPacket)
    assert receiver.reports[0].ssrc == 77
    assert isinstance(description, RtcpSdesPacket)


def test_without_received_media_the_report_has_no_blocks() -> None:
    receiver, _ = RtcpPacket.parse(report(42, "us", None, None))
    assert isinstance(receiver, RtcpRrPacket)
    assert receiver.reports == []


@given(st.text(min_size=1, max_size=300))
def test_any_name_is_cut_and_padded_to_whole_words(cname: str) -> None:
    data = report(1, cname, None, None)
    assert len(data) % 4 == 0
    _, description = RtcpPacket.parse(data)
    assert isinstance(description, RtcpSdesPacket)
    assert description.chunks[0].items[0][1] == cname.encode()[:255]


@pytest.mark.parametrize(("lost", "written"), [(2**30, 2**23 - 1), (-(2**30), -(2**23))])
def test_a_loss_beyond_24_bits_is_clamped(lost: int, written: int) -> None:
    receiver, _ = RtcpPacket.parse(report(1, "us", None, HEARD._replace(cumulative_lost=lost)))
    assert isinstance(receiver, RtcpRrPacket)
    assert receiver.reports[0].packets_lost == written


def test_goodbye_is_a_compound_packet() -> None:
    receiver, goodbye = RtcpPacket.parse(bye(42))
    assert isinstance(receiver, RtcpRrPacket)
    assert isinstance(goodbye, RtcpByePacket)
    assert goodbye.sources == [42]
    assert parse(bye(42)).is_bye


def test_reads_what_aiortc_writes() -> None:
    block = TheirReceiverInfo(
        ssrc=42, fraction_lost=128, packets_lost=-1, highest_sequence=9, jitter=48, lsr=7, dlsr=32_768
    )
    info = TheirSenderInfo(ntp_timestamp=0x1122_3344_5566_7788, rtp_timestamp=5, packet_count=1, octet_count=2)
    received = parse(bytes(RtcpSrPacket(ssrc=77, sender_info=info, reports=[block])))
    assert received.sender_ntp_middle == 0x3344_5566
    assert received.reports == [PeerReport(42, 0.5, 7, 0.5)]
    assert not received.is_bye
    assert parse(bytes(RtcpRrPacket(ssrc=77, reports=[block]))).reports == received.reports


def test_what_precedes_a_malformed_part_is_read() -> None:
    assert parse(report(42, "us", SENT, HEARD) + b"\x81\xcb\xff\xff").reports[0].ssrc == 77


def test_a_block_count_larger_than_the_packet_is_ignored() -> None:
    data = bytearray(report(42, "us", None, HEARD))
    data[0] |= 0x1F
    assert len(parse(bytes(data)).reports) == 1


@given(st.binary(max_size=400))
def test_garbage_is_read_without_an_error(data: bytes) -> None:
    received = parse(data)
    assert len(received.reports) <= len(data) // 24


@given(st.lists(st.tuples(st.integers(0, 79), st.integers(0, 255)), max_size=8))
def test_mutated_reports_are_read_without_an_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(report(42, "us", SENT, HEARD))
    for at, value in changes:
        data[at % len(data)] = value
    assert len(parse(bytes(data)).reports) <= 31


def test_the_number_of_packets_read_is_bounded() -> None:
    goodbye_far_behind = b"\x80\xcc\0\0" * 40 + bye(42)
    assert not parse(goodbye_far_behind).is_bye


def test_ntp_counts_from_1900() -> None:
    assert ntp_timestamp(0.0) >> 32 == 2_208_988_800
    assert ntp_timestamp(0.5) & 0xFFFFFFFF == 1 << 31
    assert ntp_middle(1.25) == (ntp_timestamp(1.25) >> 16) & 0xFFFFFFFF


def test_round_trip_is_arrival_less_departure_less_what_the_caller_took() -> None:
    left_s = 1_700_000_000.0
    peer = PeerReport(42, 0.0, last_sr=ntp_middle(left_s), delay_since_sr_s=2.0)
    assert round_trip_s(peer, left_s + 2.125) == pytest.approx(0.125, abs=1e-4)


def test_round_trip_is_unknown_before_a_sender_report_and_never_negative() -> None:
    assert round_trip_s(PeerReport(42, 0.0, 0, 0.0), 1_700_000_000.0) is None
    peer = PeerReport(42, 0.0, ntp_middle(1_700_000_000.0), delay_since_sr_s=9.0)
    assert round_trip_s(peer, 1_700_000_001.0) == 0.0
