import pytest

from callers.load.prometheus_text import Histogram, Metrics

TEXT = """
# HELP antiphon_media_sessions sessions
# TYPE antiphon_media_sessions gauge
antiphon_media_sessions 12.0
antiphon_media_datagrams_dropped_total{why="unknown, {odd}"} 3.0
antiphon_media_datagrams_dropped_total{why="full"} 4.0 1395066363000
lag_seconds_bucket{le="0.01"} 90.0
lag_seconds_bucket{le="0.1"} 99.0
lag_seconds_bucket{le="+Inf"} 100.0
lag_seconds_count 100.0
broken line
"""


def test_values_of_all_labels_are_added_up() -> None:
    metrics = Metrics(TEXT)
    assert metrics.value("antiphon_media_sessions") == 12
    assert metrics.value("antiphon_media_datagrams_dropped_total") == 7
    assert metrics.value("antiphon_gateway_connections") is None
    assert metrics.has("antiphon_media_")
    assert not metrics.has("antiphon_gateway_")


def test_quantiles_are_interpolated_as_prometheus_does() -> None:
    lag = Metrics(TEXT).histogram("lag_seconds")
    assert lag is not None
    assert lag.quantile(0.45) == pytest.approx(0.005)
    assert lag.quantile(0.99) == pytest.approx(0.1)
    assert lag.quantile(1.0) == pytest.approx(0.1), "what is beyond the last bound is at least that"


def test_a_window_has_only_what_came_in_it() -> None:
    before, after = Histogram({0.1: 10, 1.0: 10}), Histogram({0.1: 10, 1.0: 20})
    assert after.since(before).quantile(0.5) == pytest.approx(0.55)
    assert after.since(after).quantile(0.5) is None
    restarted = Histogram({0.1: 4, 1.0: 4})
    assert restarted.since(before) == restarted, "it counts from 0 again"
    assert before.merged(after).counts == {0.1: 20, 1.0: 30}


def test_what_is_no_histogram_has_none() -> None:
    assert Metrics(TEXT).histogram("antiphon_media_sessions") is None
