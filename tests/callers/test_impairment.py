from itertools import groupby

import pytest

from callers.impairment import Fates, Impairment


def fates(impairment: Impairment, count: int = 20_000, seed: int = 3) -> list[list[float]]:
    source = Fates(impairment, seed)
    return [source.next() for _ in range(count)]


def test_the_same_seed_harms_the_same_packets() -> None:
    impairment = Impairment(0.05, 0.02, 30, 0.02, 0.02)
    assert fates(impairment) == fates(impairment)
    assert fates(impairment) != fates(impairment, seed=4)


def test_one_kind_of_harm_leaves_the_dice_of_another_alone() -> None:
    lost = [not fate for fate in fates(Impairment(loss=0.05))]
    assert lost == [not fate for fate in fates(Impairment(loss=0.05, jitter_ms=30, duplicated=0.1))]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_as_many_are_lost_as_asked(share: float) -> None:
    for impairment in (Impairment(loss=share), Impairment(burst_loss=share)):
        lost = sum(not fate for fate in fates(impairment))
        assert lost / 20_000 == pytest.approx(share, rel=0.2)


def test_bursts_are_of_three_to_five_packets() -> None:
    lost = [not fate for fate in fates(Impairment(burst_loss=0.01))]
    runs = [len(list(run)) for is_lost, run in groupby(lost) if is_lost]
    assert {3, 4, 5} <= set(runs)
    assert sum(length in (3, 4, 5) for length in runs) / len(runs) > 0.9  # two bursts may touch


def test_jitter_spreads_and_duplicates_double_and_reordering_holds_back() -> None:
    delays = [delay for (delay,) in fates(Impairment(jitter_ms=30))]
    assert 0 <= min(delays) < 1
    assert 29 < max(delays) <= 30
    assert {len(fate) for fate in fates(Impairment(duplicated=0.05))} == {1, 2}
    held_back = {delay for (delay,) in fates(Impairment(reordered=0.05))} - {0.0}
    assert min(held_back) > 20


def test_one_loss_is_one() -> None:
    assert [not fate for fate in fates(Impairment(loses_one=True), count=100)].count(True) == 1


def test_a_delay_holds_for_every_packet() -> None:
    assert {delay for (delay,) in fates(Impairment(delay_ms=50), count=100)} == {50.0}
