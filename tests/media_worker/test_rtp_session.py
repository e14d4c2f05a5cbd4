from collections.abc import Callable
from typing import Any

import pytest
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpRrPacket, RtcpSrPacket

from media_worker import srtp
from media_worker.core import rtcp
from media_worker.core.rtp import pack_header_into
from media_worker.downlink import Downlink
from media_worker.rtp_session import RtpSession
from media_worker.srtp import SrtpCodec
from media_worker.uplink import Uplink
from shared.frames import AudioFrame, SilenceRun
from tests.fakes.counters import Gained
from tests.fakes.sounds import tone
from tests.fakes.srtp_pair import srtp_pairs
from tests.media_worker.test_uplink import TONE

OURS, THEIRS = 77, 1_234
AnyPacket = Any
"""One of aiortc's RTCP packets."""


class Line:
    """Our RTP session and the caller's end of the wire."""

    def __init__(self) -> None:
        ours, theirs = srtp_pairs()
        self.caller = SrtpCodec(theirs)
        codec = SrtpCodec(ours)
        self.heard: list[AudioFrame | SilenceRun] = []
        self.downlink = Downlink(OURS, 111, 40, 32_000, lambda *_: None)
        self.downlink.connect(codec, 0, 0)
        self.downlink.set_sender(lambda _: None)
        self.uplink = Uplink("s1", 1, self.heard.append, 0.04)
        self.session = RtpSession(codec, OURS, "us", 111, self.uplink, self.downlink)

    def packet(self, seq: int, payload: bytes = TONE[5], ssrc: int = THEIRS, payload_type: int = 111) -> bytes:
        pack_header_into(srtp.tx_buffer, 0, 0x80, payload_type, seq & 0xFFFF, seq * 960 & 0xFFFFFFFF, ssrc)
        srtp.tx_buffer[12 : 12 + len(payload)] = payload
        return self.caller.protect(12 + len(payload))

    def received(self, send: Callable[[Callable[[bytes], None]], None]) -> list[AnyPacket]:
        """What the caller decrypts of what `send` sends."""
        datagrams: list[bytes] = []
        send(datagrams.append)
        (datagram,) = datagrams
        plain = self.caller.unprotect_rtcp(datagram)
        assert plain is not None
        return list(RtcpPacket.parse(plain))

    def report(self, now: float) -> AnyPacket:
        return self.received(lambda send: self.session.send_report(send, now))[0]


@pytest.fixture
def line() -> Line:
    return Line()


def test_an_authentic_packet_is_decoded(line: Line) -> None:
    received = Gained("antiphon_media_packets_received_total")
    assert line.session.on_media(line.packet(0), 0.0)
    assert [type(item) for item in line.heard] == [AudioFrame]
    line.session.count()
    assert received() == 1


def test_a_forged_or_repeated_packet_is_counted_and_not_decoded(line: Line) -> None:
    rejected = Gained("antiphon_media_packets_rejected_total")
    packet = line.packet(0)
    assert not line.session.on_media(packet[:-1] + bytes([packet[-1] ^ 1]), 0.0)
    assert line.session.on_media(packet, 0.0)
    assert not line.session.on_media(packet, 0.0)
    assert not line.session.on_media(b"\x80", 0.0)
    assert not line.session.on_media(b"\x80\xc8" + bytes(1_700), 0.0)
    assert (rejected(), len(line.heard)) == (4, 1)


def test_another_payload_type_is_authentic_but_not_decoded(line: Line) -> None:
    assert line.session.on_media(line.packet(0, payload_type=13), 0.0)
    assert line.heard == []


def test_a_caller_who_switches_to_another_source_is_still_heard(line: Line) -> None:
    for seq in range(3):
        line.session.on_media(line.packet(seq), seq * 0.02)
    for seq in range(60_000, 60_003):
        line.session.on_media(line.packet(seq, ssrc=9), 0.06 + (seq - 60_000) * 0.02)
    assert [item.first_sample for item in line.heard] == [0, 320, 640, 960, 1_280, 1_600]
    report = line.report(1.0)
    assert isinstance(report, RtcpRrPacket)
    assert [(block.ssrc, block.packets_lost) for block in report.reports] == [(9, 0)]


def test_a_flood_of_packets_is_limited_each_second(line: Line) -> None:
    over = Gained("antiphon_media_packets_over_limit_total")
    taken = [line.session.on_media(line.packet(seq), 0.0) for seq in range(450)]
    assert taken == [True] * 400 + [False] * 50
    line.session.count()
    assert over() == 50
    assert line.session.on_media(line.packet(450), 1.0)


def test_a_caller_may_use_sixteen_sources(line: Line) -> None:
    rejected = Gained("antiphon_media_packets_rejected_total")
    taken = [line.session.on_media(line.packet(0, ssrc=1_000 + n), 0.0) for n in range(20)]
    assert taken == [True] * 16 + [False] * 4
    assert rejected() == 4
    assert line.session.on_media(line.packet(1, ssrc=1_015), 0.02), "those that are known go on"


def test_rtcp_sources_count_towards_the_sixteen(line: Line) -> None:
    rejected = Gained("antiphon_media_packets_rejected_total")
    reports = [bytes(RtcpRrPacket(ssrc=2_000 + n)) for n in range(20)]
    taken = [line.session.on_media(line.caller.protect_rtcp(report), 0.0) for report in reports]
    assert taken == [True] * 16 + [False] * 4
    assert rejected() == 4


def test_reports_as_sender_only_if_something_was_sent_since(line: Line) -> None:
    line.downlink.push(AudioFrame("s1", 1, 0, 0, 24_000, 1, tone(440, 0.1, 24_000).tobytes()))
    for slot in range(0, 16, 4):
        line.downlink.tick(slot)
    first = line.report(1.0)
    assert isinstance(first, RtcpSrPacket)
    assert (first.ssrc, first.sender_info.packet_count) == (OURS, 4)
    assert isinstance(line.report(2.0), RtcpRrPacket)


def test_reports_what_was_lost(line: Line) -> None:
    for seq in (0, 1, 2, 5, 6, 7):
        line.session.on_media(line.packet(seq), seq * 0.02)
    report = line.report(1.0)
    assert isinstance(report, RtcpRrPacket)
    (block,) = report.reports
    assert (block.ssrc, block.packets_lost, block.fraction_lost, block.highest_sequence) == (THEIRS, 2, 64, 7)


def test_echoes_the_callers_sender_report(line: Line) -> None:
    line.session.on_media(line.packet(0), 0.0)
    sent = rtcp.SenderInfo(1_700_000_000.0, 0, 1, 1)
    line.session.on_media(line.caller.protect_rtcp(rtcp.report(THEIRS, "them", sent, None)), 10.0)
    report = line.report(12.0)
    assert isinstance(report, RtcpRrPacket)
    assert report.reports[0].lsr == rtcp.ntp_middle(1_700_000_000.0)
    assert report.reports[0].dlsr == 2 * 65_536


def test_what_the_caller_lost_of_our_stream_is_measured(line: Line) -> None:
    reports = Gained("antiphon_media_caller_loss_ratio_count")
    for ssrc in (OURS, 999):
        block = rtcp.ReceptionStats(ssrc, 64, 5, 100, 0, 0, 0)
        assert line.session.on_media(line.caller.protect_rtcp(rtcp.report(THEIRS, "them", None, block)), 0.0)
    assert reports() == 1


def test_the_loss_is_that_of_both_directions_and_the_latest_reports_count_most(line: Line) -> None:
    def caller_reports(lost_in_256: int) -> None:
        block = rtcp.ReceptionStats(OURS, lost_in_256, 0, 0, 0, 0, 0)
        line.session.on_media(line.caller.protect_rtcp(rtcp.report(THEIRS, "them", None, block)), 0.0)

    def share() -> float | None:
        return line.session.loss.share

    assert share() is None
    caller_reports(128)
    assert share() is None, "we had sent nothing"
    for seq in (0, 1, 2, 5, 6, 7):
        line.session.on_media(line.packet(seq), seq * 0.02)
    line.report(1.0)
    assert share() == 2 / 8
    line.downlink.packets += 8
    caller_reports(0)
    assert share() == pytest.approx(0.8 * 2 / (0.8 * 8 + 8))
    for seq in range(8, 108):
        line.session.on_media(line.packet(seq), seq * 0.02)
        if seq % 10 == 0:
            line.report(seq * 0.02)
    assert share() == pytest.approx(0, abs=0.01)


def test_a_goodbye_is_noticed(line: Line) -> None:
    assert not line.session.said_bye
    line.session.on_media(line.caller.protect_rtcp(rtcp.bye(THEIRS)), 0.0)
    assert line.session.said_bye


def test_a_forged_goodbye_is_not(line: Line) -> None:
    assert not line.session.on_media(rtcp.bye(THEIRS) + bytes(14), 0.0)
    assert not line.session.said_bye


def test_says_goodbye(line: Line) -> None:
    packets = line.received(line.session.send_bye)
    assert isinstance(packets[-1], RtcpByePacket)
    assert packets[-1].sources == [OURS]
