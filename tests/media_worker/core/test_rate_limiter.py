from collections import Counter

from media_worker.core.rate_limiter import BURST, FLOOD, PER_S, ControlRateLimiter


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
