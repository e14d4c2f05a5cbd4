import pytest

from tests.load.bench_report import BenchReport


def test_a_bar_that_was_not_measured_says_so_and_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    report = BenchReport("test")
    report.bar("measured", 0.0, 1.0, "lower")
    held = report.holds
    report.bar("left out", None, 1.0, "lower")
    assert (held, report.holds) == (True, False)
    report.print()
    assert "MISSED  left out: not measured (bound <= 1)" in capsys.readouterr().out
