"""The figures of RFC 3550: A.3 for loss, A.8 for jitter."""

import pytest

from media_worker.core.reception import Reception


def receive(reception: Reception, *seqs: int) -> None:
    for seq in seqs:
        reception.on_packet(seq & 0xFFFF, seq * 960 & 0xFFFFFFFF, seq * 0.02)


def test_nothing_is_lost_of_a_whole_stream() -> None:
    reception = Reception(7, 100)
    receive(reception, *range(100, 150))
    stats = reception.stats(1.0)
    assert (stats.ssrc, stats.fraction_lost, stats.cumulative_lost, stats.highest_seq) == (7, 0, 0, 149)


def test_the_fraction_counts_from_the_last_report_and_the_sum_from_the_beginning() -> None:
    reception = Reception(7, 0)
    receive(reception, *(seq for seq in range(100) if seq % 4))  # the first is the base
    receive(reception, 100)
    first = reception.stats(1.0)
    assert first.cumulative_lost == 25
    assert first.fraction_lost == 25 * 256 // 101
    receive(reception, *range(101, 201))
    second = reception.stats(2.0)
    assert (second.fraction_lost, second.cumulative_lost) == (0, 25)
    receive(reception, *range(251, 301))
    third = reception.stats(3.0)
    assert (third.fraction_lost, third.cumulative_lost) == (128, 75)


def test_repeated_packets_make_the_loss_negative_and_the_fraction_none() -> None:
    reception = Reception(7, 0)
    receive(reception, 0, 1, 1, 1, 2)
    stats = reception.stats(1.0)
    assert (stats.cumulative_lost, stats.fraction_lost) == (-2, 0)


def test_the_highest_number_counts_wraps() -> None:
    reception = Reception(7, 65_530)
    receive(reception, *range(65_530, 65_546))
    assert reception.stats(1.0).highest_seq == 0x1_0009
    assert reception.stats(1.0).cumulative_lost == 0


def test_a_packet_out_of_order_is_not_lost() -> None:
    reception = Reception(7, 0)
    receive(reception, 0, 2, 1, 3)
    stats = reception.stats(1.0)
    assert (stats.cumulative_lost, stats.highest_seq) == (0, 3)


def test_a_steady_stream_has_no_jitter() -> None:
    reception = Reception(7, 0)
    receive(reception, *range(200))
    assert reception.stats(4.0).jitter == 0


def test_jitter_is_the_smoothed_difference_of_transit_times() -> None:
    reception = Reception(7, 0)
    expected = transit_before = 0.0
    for n in range(100):
        late_ticks = 480 if n % 2 else 0  # 10 ms
        reception.on_packet(n, n * 960, n * 0.02 + late_ticks / 48_000)
        if n:
            expected += (abs(late_ticks - transit_before) - expected) / 16
        transit_before = late_ticks
    assert reception.stats(2.0).jitter == pytest.approx(expected, abs=1)
    assert reception.stats(2.0).jitter > 450


def test_a_wrapping_timestamp_is_not_jitter() -> None:
    reception = Reception(7, 0)
    for n in range(10):
        reception.on_packet(n, (2**32 - 4 * 960 + n * 960) & 0xFFFFFFFF, n * 0.02)
    assert reception.stats(1.0).jitter == 0


def test_the_last_sender_report_and_its_age_are_reported() -> None:
    reception = Reception(7, 0)
    assert (reception.stats(1.0).last_sr, reception.stats(1.0).delay_since_sr) == (0, 0)
    reception.on_sender_report(0xAABBCCDD, 10.0)
    stats = reception.stats(11.5)
    assert stats.last_sr == 0xAABBCCDD
    assert stats.delay_since_sr == pytest.approx(1.5 * 65_536, abs=1)
