from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callers.load.plot import MOST_POINTS, Line, Plot, number, svg, thinned, ticks

_FIGURES = st.one_of(st.none(), st.floats(0, 1e7))


@given(st.lists(st.tuples(st.floats(0, 1e5), _FIGURES), max_size=30), st.booleans())
def test_any_figures_can_be_drawn(points: list[tuple[float, float | None]], dots: bool) -> None:
    drawn = svg(
        Plot(
            "Set-up", "ms", [Line("p95", sorted(points, key=lambda point: point[0]), "c1")], "s", 5.0, "knee", dots=dots
        )
    )
    assert "nan" not in drawn
    assert "inf" not in drawn
    ElementTree.fromstring(drawn)


def test_a_gap_in_the_figures_is_a_gap_in_the_line_and_a_lonely_figure_a_dot() -> None:
    drawn = svg(Plot("Loss", "%", [Line("lost", [(0, 1.0), (1, 2.0), (2, None), (3, 1.0)], "c1")], "s"))
    [path] = drawn.split('<path d="')[1:]
    assert path.partition('"')[0].count("M") == 2
    assert drawn.count("<circle") == 1


@given(st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_and_span_the_axis(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert found[0] <= low + span * 1e-6
    assert found[-1] >= (low + span) * (1 - 1e-6)
    assert 2 <= len(found) <= 8


def test_a_long_run_keeps_its_peak() -> None:
    points: list[tuple[float, float | None]] = [(float(second), 1.0) for second in range(86_400)]
    points[12_345] = (12_345.0, 99.0)
    points[500] = (500.0, None)
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert (12_345.0, 99.0) in kept


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0512, "0.051"), (0.5, "0.5"), (1.234, "1.23"), (35.04, "35"), (1234.4, "1,234")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text
