from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.rate_limiter import BURST, FLOOD, PER_S, ControlRateLimiter, RateLimiter


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


def verdicts(limiter: ControlRateLimiter, per_s: float, duration_s: float, start_s: float = 0.0) -> Counter[str]:
    return Counter(limiter.judge(start_s + n / per_s) for n in range(round(per_s * duration_s)))


def test_messages_within_the_rate_are_admitted() -> None:
    assert verdicts(ControlRateLimiter(), PER_S * 0.99, 60) == {"admitted": round(PER_S * 0.99 * 60)}


def test_a_burst_of_messages_is_admitted() -> None:
    assert verdicts(ControlRateLimiter(), 1e6, BURST / 1e6) == {"admitted": BURST}


def test_a_fast_sender_gets_one_error_a_second_and_keeps_the_admitted_rate() -> None:
    seen = verdicts(ControlRateLimiter(), 3 * PER_S, 60)
    assert seen["flood"] == 0
    assert abs(seen["admitted"] - (BURST + 60 * PER_S)) <= 2
    assert 58 <= seen["refused"] <= 60


def test_a_flood_is_recognised() -> None:
    limiter = ControlRateLimiter()
    assert verdicts(limiter, 1e6, FLOOD * BURST / 1e6)["flood"] == 0
    assert limiter.judge(0.001) == "flood"


def test_a_slow_steady_flood_is_recognised() -> None:
    seen = verdicts(ControlRateLimiter(), 1.5 * FLOOD * PER_S, 10)
    assert seen["flood"] > 0


def test_after_a_pause_a_full_burst_is_admitted_again() -> None:
    limiter = ControlRateLimiter()
    verdicts(limiter, 1e6, 400 / 1e6)
    assert verdicts(limiter, 1e6, BURST / 1e6, start_s=10.0) == {"admitted": BURST}
