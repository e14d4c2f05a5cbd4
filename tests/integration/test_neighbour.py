"""The judge of what a neighbour hears."""

import pytest

from tests.integration.neighbour import WORST_GAP_S, LoudPacket, Stalls, worst_gap
from tests.load.steal import StealWatch


def packets(*, without: range = range(0), late_from: int = 1_000, late_s: float = 0.0) -> list[LoudPacket]:
    """Two seconds of sound, sent 20 ms apart."""
    return [LoudPacket(n * 0.02 + late_s * (n >= late_from), n * 960) for n in range(100) if n not in without]


def gap_s(heard: list[LoudPacket], stalls: Stalls | None = None, steal: StealWatch | None = None) -> float:
    return worst_gap(heard, stalls or Stalls(), steal or StealWatch()).length_s


def test_steady_sound_has_no_gap() -> None:
    assert gap_s(packets()) == pytest.approx(0, abs=1e-6)


def test_lost_packets_are_a_gap() -> None:
    assert gap_s(packets(without=range(50, 54))) == pytest.approx(0.08)


def test_a_gap_in_the_timestamps_counts_even_if_the_next_packet_hurries() -> None:
    heard = packets(without=range(50, 54), late_from=54, late_s=-0.07)
    assert gap_s(heard) == pytest.approx(0.08)


def test_a_late_packet_is_a_gap() -> None:
    assert gap_s(packets(late_from=50, late_s=0.1)) == pytest.approx(0.1)


def test_the_tests_own_stall_is_not_the_servers() -> None:
    stalls = Stalls()
    stalls.add(0.9, 1.0)
    assert gap_s(packets(late_from=50, late_s=0.1), stalls) < WORST_GAP_S
    assert gap_s(packets(late_from=50, late_s=0.3), stalls) == pytest.approx(0.2)
    assert gap_s(packets(late_from=90, late_s=0.1), stalls) > WORST_GAP_S, "too long after it"


def test_a_moment_without_processors_is_left_out() -> None:
    steal = StealWatch()
    for n in range(21):
        steal.add(n * 0.1, 0.5 if n > 10 else 0.0)
    assert gap_s(packets(late_from=50, late_s=0.1), steal=steal) < WORST_GAP_S
