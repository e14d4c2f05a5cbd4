"""RTP and RTCP of one caller: decrypts packets, passes them on, and reports on them."""

import time
from collections.abc import Callable

from prometheus_client import Counter, Histogram

from media_worker import srtp
from media_worker.core import rtcp
from media_worker.core.jitter import Packet
from media_worker.core.reception import RecentLoss, Reception
from media_worker.core.rtp import is_rtcp, parse_header
from media_worker.downlink import Downlink
from media_worker.srtp import SrtpCodec
from media_worker.uplink import Uplink

_received = Counter("antiphon_media_packets_received_total", "RTP packets received and decrypted")
_MOST_PER_COUNT = 400
"""Datagrams per second: eight times what a browser sends, to allow bursts after a network stall. More would take
processor time from other callers."""
_MOST_SOURCES = 16
"""A browser has one, and another after some changes of its track. libsrtp keeps each for the life of the session and
searches all of them for every packet."""

_unheard = Counter("antiphon_media_packets_over_limit_total", "Packets of callers who sent too many in a second")
_forged = Counter("antiphon_media_packets_rejected_total", "SRTP packets forged, repeated or too old")
_round_trip = Histogram(
    "antiphon_media_round_trip_seconds",
    "Round trip to callers, from their reports",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6),
)
_caller_loss = Histogram(
    "antiphon_media_caller_loss_ratio",
    "Share of our packets that callers report lost",
    buckets=(0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
)


class RtpSession:
    """`on_media` must get datagrams from validated addresses only."""

    def __init__(
        self, codec: SrtpCodec, ssrc: int, cname: str, payload_type: int, uplink: Uplink, downlink: Downlink
    ) -> None:
        self._codec = codec
        self._ssrc = ssrc
        self._cname = cname
        self._payload_type = payload_type
        self._uplink = uplink
        self._downlink = downlink
        self._reception: Reception | None = None
        self.loss = RecentLoss()
        self._packets_reported = 0
        self._packets_judged = 0
        """How many we had sent at the caller's last report."""
        self._packets = 0
        self._datagrams = 0
        self._sources: set[bytes] = set()
        self.said_bye = False

    def on_media(self, datagram: bytes, now: float) -> bool:
        """True if the packet was authentic."""
        self._datagrams += 1
        if self._datagrams > _MOST_PER_COUNT:
            return False
        if len(datagram) > 1 and is_rtcp(datagram[1]):
            return self._on_rtcp(datagram, now)
        source = datagram[8:12]
        is_known = source in self._sources
        if not is_known and not self._admits_another():
            return False
        size = self._codec.unprotect(datagram)
        if size < 0:
            _forged.inc()
            return False
        if not is_known:
            self._sources.add(source)
        packet = srtp.rx_buffer[0:size]
        header = parse_header(packet)
        if header is None or header.payload_type != self._payload_type:
            return True
        self._packets += 1
        reception = self._reception
        if reception is None or reception.ssrc != header.ssrc:
            if reception is not None:
                self._uplink.restart()
            reception = self._reception = Reception(header.ssrc, header.seq)
        reception.on_packet(header.seq, header.timestamp, now)
        payload = packet[header.payload_start : header.payload_end]
        self._uplink.on_packet(Packet(header.seq, header.timestamp, payload), now)
        return True

    def send_report(self, send: Callable[[bytes], None], now: float) -> None:
        """Send an SR if we sent media since the last report, else an RR."""
        info = self._downlink.sender_info()
        if info is not None and info.packets == self._packets_reported:
            info = None
        elif info is not None:
            self._packets_reported = info.packets
        received = self._reception.stats(now) if self._reception else None
        if received is not None:
            self.loss.on_report(received.expected_since, received.fraction_lost / 256)
        send(self._codec.protect_rtcp(rtcp.report(self._ssrc, self._cname, info, received)))

    def count(self) -> None:
        """Update the process' counters. Once a second, because counting each packet is too expensive."""
        _received.inc(self._packets)
        self._packets = 0
        _unheard.inc(max(0, self._datagrams - _MOST_PER_COUNT))
        self._datagrams = 0

    def send_bye(self, send: Callable[[bytes], None]) -> None:
        send(self._codec.protect_rtcp(rtcp.bye(self._ssrc)))

    def _admits_another(self) -> bool:
        """Bounds the number of SSRCs, which are known before a packet is decrypted, RTP or RTCP."""
        if len(self._sources) == _MOST_SOURCES:
            _forged.inc()
            return False
        return True

    def _on_rtcp(self, datagram: bytes, now: float) -> bool:
        source = datagram[4:8]
        if source not in self._sources and not self._admits_another():
            return False
        plain = self._codec.unprotect_rtcp(datagram)
        if plain is None:
            _forged.inc()
            return False
        self._sources.add(source)
        received = rtcp.parse(plain)
        if received.sender_ntp_middle is not None and self._reception is not None:
            self._reception.on_sender_report(received.sender_ntp_middle, now)
        for report in received.reports:
            if report.ssrc != self._ssrc:
                continue
            _caller_loss.observe(report.fraction_lost)
            self.loss.on_report(self._downlink.packets - self._packets_judged, report.fraction_lost)
            self._packets_judged = self._downlink.packets
            round_trip_s = rtcp.round_trip_s(report, time.time())
            if round_trip_s is not None:
                _round_trip.observe(round_trip_s)
        self.said_bye = self.said_bye or received.is_bye
        return True
