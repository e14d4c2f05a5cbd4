from collections import Counter

from media_worker.core.control_rate import BURST, FLOOD, PER_S, ControlRate


def verdicts(rate: ControlRate, per_s: float, duration_s: float, start_s: float = 0.0) -> Counter[str]:
    return Counter(rate.judge(start_s + n / per_s) for n in range(round(per_s * duration_s)))


def test_who_keeps_to_the_rate_is_heard() -> None:
    assert verdicts(ControlRate(), PER_S * 0.99, 60) == {"admitted": round(PER_S * 0.99 * 60)}


def test_a_burst_is_heard() -> None:
    assert verdicts(ControlRate(), 1e6, BURST / 1e6) == {"admitted": BURST}


def test_who_is_too_fast_is_told_once_a_second_and_still_gets_his_rate() -> None:
    seen = verdicts(ControlRate(), 3 * PER_S, 60)
    assert seen["flood"] == 0
    assert abs(seen["admitted"] - (BURST + 60 * PER_S)) <= 2
    assert 58 <= seen["refused"] <= 60


def test_a_flood_is_the_end() -> None:
    rate = ControlRate()
    assert verdicts(rate, 1e6, FLOOD * BURST / 1e6)["flood"] == 0
    assert rate.judge(0.001) == "flood"


def test_a_flood_that_goes_on_slowly_is_the_end_too() -> None:
    seen = verdicts(ControlRate(), 1.5 * FLOOD * PER_S, 10)
    assert seen["flood"] > 0


def test_after_a_rest_all_is_forgiven() -> None:
    rate = ControlRate()
    verdicts(rate, 1e6, 400 / 1e6)
    assert verdicts(rate, 1e6, BURST / 1e6, start_s=10.0) == {"admitted": BURST}
