from hypothesis import given
from hypothesis import strategies as st

from callers.load.results import Point
from callers.load.series import Series


def _point(second: int) -> Point:
    return Point(
        at_s=float(second),
        callers_wanted=second,
        callers_connected=second,
        set_up_p95_ms=900.0 if second == 17 else None,
        errors={"timeout": 1},
    )


@given(st.integers(0, 2000), st.integers(2, 40))
def test_a_long_run_keeps_its_peaks_and_all_errors_in_few_points(seconds: int, most: int) -> None:
    series = Series(most)
    for second in range(seconds):
        series.add(_point(second))
    points = series.points
    assert len(points) <= most
    assert sum(point.errors["timeout"] for point in points) == seconds
    assert [point.at_s for point in points] == sorted({point.at_s for point in points})
    assert (900.0 in [point.set_up_p95_ms for point in points]) == (seconds > 17)
    if seconds:
        assert (points[0].at_s, points[-1].callers_wanted) == (0.0, seconds - 1)


def test_a_short_run_keeps_each_second() -> None:
    series = Series()
    for second in range(100):
        series.add(_point(second))
    assert series.points == [_point(second) for second in range(100)]
