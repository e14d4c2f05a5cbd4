from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.rate_limit import RateLimit


def admitted(limit: RateLimit, times: Iterable[float]) -> int:
    return sum(limit.admits(now) for now in times)


def test_a_burst_passes_at_once_and_no_more() -> None:
    limit = RateLimit(rate_per_s=20, burst=50)
    assert admitted(limit, [7.0] * 60) == 50


def test_after_a_burst_its_rate_passes() -> None:
    limit = RateLimit(rate_per_s=20, burst=50)
    admitted(limit, [0.0] * 50)
    assert not limit.admits(0.04)
    assert limit.admits(0.06)
    assert admitted(limit, (0.06 + n / 1_000 for n in range(1, 10_001))) == 200


def test_waiting_saves_up_a_burst_at_most() -> None:
    limit = RateLimit(rate_per_s=20, burst=50)
    admitted(limit, [0.0] * 50)
    assert admitted(limit, [3_600.0] * 60) == 50


def test_who_keeps_to_the_rate_is_never_refused() -> None:
    limit = RateLimit(rate_per_s=50, burst=1)
    assert admitted(limit, (n * 0.02 + 1e-9 * n for n in range(1_000))) == 1_000


def test_refusals_cost_nothing() -> None:
    limit = RateLimit(rate_per_s=10, burst=1)
    assert admitted(limit, (n / 10_000 for n in range(10_000))) in (10, 11)


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    limit = RateLimit(rate_per_s=10, burst=2)
    assert admitted(limit, [5.0, 5.0, 5.0, 4.0, 4.0]) == 2


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200), st.integers(1, 20), st.floats(0.1, 100))
def test_never_more_than_burst_and_rate_allow(times: list[float], burst: int, rate_per_s: float) -> None:
    times.sort()
    limit = RateLimit(rate_per_s, burst)
    assert admitted(limit, times) <= burst + (times[-1] - times[0]) * rate_per_s + 1e-6
