import pytest

from callers.load.rtp_meter import RtpCounts, RtpMeter


def metered(packets: list[tuple[int, float]], ticks: int = 960) -> RtpCounts:
    """(number, arrival in seconds) of packets that were sent 20 ms apart."""
    meter = RtpMeter()
    for number, arrived_s in packets:
        meter.take(7, (65_530 + number) & 0xFFFF, (2**32 - 3_000 + number * ticks) & 0xFFFFFFFF, arrived_s)
    return meter.counts()


def test_steady_packets_are_all_there_over_the_wraps_of_both_counters() -> None:
    counts = metered([(number, number * 0.02) for number in range(100)])
    assert (counts.expected, counts.received, counts.lost, counts.bursts, counts.late) == (100, 100, 0, 0, 0)
    assert counts.jitter_ms == pytest.approx(0, abs=1e-6)


def test_lost_packets_are_counted_with_their_bursts() -> None:
    counts = metered([(n, n * 0.02) for n in range(100) if n not in (10, 11, 12, 50)])
    assert (counts.lost, counts.bursts, counts.concealed) == (4, 2, 4)
    assert counts.burst_ratio == pytest.approx(2 * 0.96)


def test_a_packet_that_was_overtaken_is_not_lost() -> None:
    counts = metered([(0, 0.0), (2, 0.04), (1, 0.045), (3, 0.06)])
    assert (counts.expected, counts.lost) == (4, 0)


def test_a_second_copy_of_a_packet_does_not_make_up_for_a_lost_one() -> None:
    counts = metered([(n, n * 0.02) for n in (0, 1, 1, 2, 4, 3, 3, 0, 6, 6)])
    assert (counts.expected, counts.received, counts.lost) == (7, 6, 1)
    assert metered([(n, n * 0.02) for n in (0, 100, 5, 200)]).received == 4


def test_a_packet_that_comes_after_the_buffer_is_concealed_as_a_lost_one_is() -> None:
    counts = metered([(n, n * 0.02 + (0.07 if n == 50 else 0.0)) for n in range(51)])
    assert (counts.lost, counts.late, counts.concealed) == (0, 1, 1)


def test_jitter_is_that_of_rfc_3550() -> None:
    """The transit time changes by 10 ms each time, so the estimate approaches 10 ms."""
    counts = metered([(n, n * 0.02 + 0.01 * (n % 2)) for n in range(200)])
    end = metered([(n, n * 0.02 + 0.01 * (n % 2)) for n in range(400)]).since(counts)
    assert end.jitter_ms == pytest.approx(10, rel=0.01)


def test_clocks_that_drift_apart_make_nothing_late() -> None:
    """200 ppm over ten minutes are 120 ms."""
    counts = metered([(n, n * 0.02 * 1.0002) for n in range(30_000)])
    assert counts.late == 0


def test_a_window_is_what_came_since_its_beginning() -> None:
    meter = RtpMeter()
    for number in range(10):
        meter.take(7, number, number * 960, number * 0.02)
    begin = meter.counts()
    for number in (10, 13):
        meter.take(7, number, number * 960, number * 0.02)
    window = meter.counts().since(begin)
    assert (window.expected, window.received, window.lost) == (4, 2, 2)
    assert len(meter.take_lateness_ms()) == 12
    assert meter.take_lateness_ms() == []


def test_a_session_that_moved_goes_on_as_another_stream_and_what_the_first_still_sends_is_ignored() -> None:
    meter = RtpMeter()
    for number in range(10):
        assert meter.take(7, number, number * 960, number * 0.02)
    for number in range(10):
        assert meter.take(8, 40_000 + number, 123 + number * 960, 0.5 + number * 0.02)
        assert not meter.take(7, 10 + number, (10 + number) * 960, 0.5 + number * 0.02)
    counts = meter.counts()
    assert (counts.expected, counts.lost, counts.late) == (20, 0, 0)
    assert meter.take_silences_ms() == [pytest.approx(300)], "from 0.18 s to 0.5 s, and 20 ms are usual"


def test_who_got_nothing_has_no_jitter() -> None:
    assert RtpMeter().counts().jitter_ms is None
