from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rate_limiter import RateLimiter


def admitted(limiter: RateLimiter, times: Iterable[float]) -> int:
    return sum(limiter.admits(now) for now in times)


def test_a_burst_passes_at_once_and_no_more() -> None:
    limiter = RateLimiter(rate_per_s=20, burst=50)
    assert admitted(limiter, [7.0] * 60) == 50


def test_after_a_burst_only_the_rate_passes() -> None:
    limiter = RateLimiter(rate_per_s=20, burst=50)
    admitted(limiter, [0.0] * 50)
    assert not limiter.admits(0.04)
    assert limiter.admits(0.06)
    assert admitted(limiter, (0.06 + n / 1_000 for n in range(1, 10_001))) == 200


def test_an_idle_limiter_saves_at_most_one_burst() -> None:
    limiter = RateLimiter(rate_per_s=20, burst=50)
    admitted(limiter, [0.0] * 50)
    assert admitted(limiter, [3_600.0] * 60) == 50


def test_a_sender_within_the_rate_is_never_refused() -> None:
    limiter = RateLimiter(rate_per_s=50, burst=1)
    assert admitted(limiter, (n * 0.02 + 1e-9 * n for n in range(1_000))) == 1_000


def test_a_refusal_takes_no_token() -> None:
    limiter = RateLimiter(rate_per_s=10, burst=1)
    assert admitted(limiter, (n / 10_000 for n in range(10_000))) in (10, 11)


def test_a_clock_that_stops_or_goes_back_adds_no_tokens() -> None:
    limiter = RateLimiter(rate_per_s=10, burst=2)
    assert admitted(limiter, [5.0, 5.0, 5.0, 4.0, 4.0]) == 2


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200), st.integers(1, 20), st.floats(0.1, 100))
def test_never_more_than_burst_and_rate_allow(times: list[float], burst: int, rate_per_s: float) -> None:
    times.sort()
    limiter = RateLimiter(rate_per_s, burst)
    assert admitted(limiter, times) <= burst + (times[-1] - times[0]) * rate_per_s + 1e-6


def test_a_cost_takes_as_many_tokens() -> None:
    limiter = RateLimiter(rate_per_s=10, burst=100)
    assert limiter.admits(0.0, cost=90)
    assert not limiter.admits(0.0, cost=20)
    assert limiter.wait_s(20) == pytest.approx(1.0)
    assert limiter.admits(1.0, cost=20)
