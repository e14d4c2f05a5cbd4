"""What was lost: of the stream that we receive, for reception reports (RFC 3550 §6.4.1, A.3, A.8), and of both."""

from media_worker.core.rtcp import ReceptionStats
from media_worker.core.rtp import signed_difference

_WEIGHT_KEPT = 0.8
"""Of the earlier reports when one comes. Each side reports every few seconds, so half a minute ago hardly counts."""


class Reception:
    """Statistics of one source. Times are seconds of any monotonic clock; jitter counts 48 kHz ticks."""

    def __init__(self, ssrc: int, seq: int) -> None:
        self.ssrc = ssrc
        self._base = seq
        self._highest = seq
        self._received = 0
        self._expected_before = 0
        self._received_before = 0
        self._transit: float | None = None
        self._jitter = 0.0
        self._last_sr = 0
        self._last_sr_at = 0.0

    def on_packet(self, seq: int, timestamp: int, now: float) -> None:
        self._received += 1
        if seq == (self._highest + 1) & 0xFFFF:
            self._highest += 1
        elif (ahead := signed_difference(seq, self._highest & 0xFFFF, 16)) > 0:
            self._highest += ahead
        transit = now * 48_000 - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < 48_000:  # a wrapped timestamp is not jitter
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def on_sender_report(self, ntp_middle: int, now: float) -> None:
        self._last_sr, self._last_sr_at = ntp_middle, now

    def stats(self, now: float) -> ReceptionStats:
        """The values of the next report. The fraction lost counts from the previous one."""
        expected = self._highest - self._base + 1
        expected_since = expected - self._expected_before
        lost_since = expected_since - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        fraction = max(0, lost_since) * 256 // expected_since if expected_since > 0 else 0
        delay = int((now - self._last_sr_at) * 65_536) if self._last_sr else 0
        return ReceptionStats(
            self.ssrc,
            min(255, fraction),
            expected - self._received,
            self._highest,
            int(self._jitter),
            self._last_sr,
            delay & 0xFFFFFFFF,
            expected_since,
        )


class RecentLoss:
    """The share of lost packets in both directions, by the latest reports."""

    def __init__(self) -> None:
        self._expected = 0.0
        self._lost = 0.0

    def on_report(self, expected: int, fraction_lost: float) -> None:
        """Of the `expected` packets since the previous report in the same direction."""
        if expected > 0:
            self._expected = self._expected * _WEIGHT_KEPT + expected
            self._lost = self._lost * _WEIGHT_KEPT + expected * fraction_lost

    @property
    def share(self) -> float | None:
        """None before the first report."""
        return self._lost / self._expected if self._expected else None
