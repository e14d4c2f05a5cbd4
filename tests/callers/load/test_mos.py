import pytest
from hypothesis import given
from hypothesis import strategies as st

from callers.load.mos import OPUS_BPL, delay_impairment, loss_impairment, mos, mos_of_rating, rating

_DELAYS = st.floats(0, 5000)
_LOSSES = st.floats(0, 100)


@pytest.mark.parametrize(("r", "expected"), [(93.2, 4.41), (90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_ratings_become_the_scores_of_the_recommendation(r: float, expected: float) -> None:
    """G.107, clause 7.7 for the default, and table B.1."""
    assert mos_of_rating(r) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("percent", "ie"), [(1, 5), (2, 7), (3, 10), (5, 15), (10, 25)])
def test_loss_costs_what_was_measured_for_concealed_random_loss(percent: float, ie: float) -> None:
    """G.113, appendix I (1999): G.711 with concealment."""
    assert loss_impairment(percent, robustness=OPUS_BPL) == pytest.approx(ie, abs=2.5)


@pytest.mark.parametrize(("delay_ms", "r"), [(100, 93.2), (150, 93), (250, 85), (400, 69)])
def test_delay_costs_what_the_curve_of_the_recommendation_shows(delay_ms: float, r: float) -> None:
    """G.114 (05/2003), figure 1, read by eye."""
    assert rating(delay_ms, 0.0) == pytest.approx(r, abs=3)


def test_a_call_without_impairment_is_as_good_as_a_telephone_can_be() -> None:
    assert mos(60.0, 0.0) == pytest.approx(4.41, abs=0.005)
    assert delay_impairment(100.0) == 0


def test_loss_in_bursts_is_worse_than_random_loss() -> None:
    assert mos(60.0, 3.0, 4.0) < mos(60.0, 3.0, 1.0) == mos(60.0, 3.0, 0.5)


@given(_DELAYS, _DELAYS, _LOSSES, _LOSSES)
def test_more_delay_and_more_loss_never_improve_a_call(
    one_ms: float, other_ms: float, one: float, other: float
) -> None:
    better, worse = mos(min(one_ms, other_ms), min(one, other)), mos(max(one_ms, other_ms), max(one, other))
    assert 1.0 <= worse <= better + 1e-9 <= 4.5
