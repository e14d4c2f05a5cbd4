import pytest

from tests.load.bench_report import BenchReport
from tests.load.delays import Delays
from tests.load.steal import StealWatch


def delays(stolen_s: float) -> Delays:
    """A hundred of 1 ms in the first ten seconds, ten of 50 ms at 20 s, where `stolen_s` was stolen."""
    watch = StealWatch()
    for index in range(300):
        watch.add(index * 0.1, stolen_s if index >= 200 else 0.0)
    found = Delays(watch)
    for index in range(100):
        found.add(index * 0.1, 0.001)
    for _ in range(10):
        found.add(20.0, 0.05)
    return found


@pytest.mark.parametrize(("stolen_s", "worst_ms", "counted"), [(0.0, 50.0, 110), (0.5, 1.0, 100)])
def test_what_was_measured_while_the_host_was_away_is_left_out(stolen_s: float, worst_ms: float, counted: int) -> None:
    found = delays(stolen_s)
    assert found.percentile(100) == pytest.approx(worst_ms)
    report = BenchReport("test")
    found.row(report, "all")
    assert (report.figures[0]["n"], report.figures[0]["counted"]) == (110, counted)


def test_on_a_machine_that_is_never_quiet_everything_counts() -> None:
    watch = StealWatch()
    for index in range(20):
        watch.add(index * 0.1, index * 0.1)
    found = Delays(watch)
    found.add(1.0, 0.007)
    assert found.counted == [pytest.approx(7.0)]


def test_no_delay_at_all_meets_no_bound() -> None:
    assert Delays(StealWatch()).percentile(50) == float("inf")


def test_missing_samples_are_reported() -> None:
    found = delays(0.0)
    assert found.found_share == 1.0
    found.miss(110)
    assert found.found_share == 0.5
    assert Delays(StealWatch()).found_share == 0.0
