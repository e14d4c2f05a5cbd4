import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callers.load.sketch import ACCURACY, MOST_BUCKETS, Sketch

_VALUES = st.lists(st.floats(0.02, 1e6), min_size=1, max_size=200)


@given(_VALUES, st.sampled_from([1, 5, 50, 95, 99, 100]))
def test_each_percentile_is_within_one_percent_of_the_true_one(values: list[float], percent: int) -> None:
    true = float(np.percentile(values, percent, method="inverted_cdf"))
    assert Sketch.of(values).percentile(percent) == pytest.approx(true, rel=ACCURACY * 1.001)


@given(_VALUES, _VALUES)
def test_two_that_merge_are_as_one_that_saw_all(ours: list[float], theirs: list[float]) -> None:
    merged = Sketch.of(ours)
    merged.merge(Sketch.of(theirs))
    together = Sketch.of(ours + theirs)
    assert merged.model_copy(update={"sum": 0.0}) == together.model_copy(update={"sum": 0.0})
    assert merged.sum == pytest.approx(together.sum)


@given(_VALUES)
def test_it_travels_as_json(values: list[float]) -> None:
    sketch = Sketch.of(values)
    assert Sketch.model_validate_json(sketch.model_dump_json()) == sketch


def test_it_has_a_bounded_size_whatever_the_values_are() -> None:
    sketch = Sketch.of(10 ** (exponent / 1000) for exponent in range(-12_000, 12_000))
    assert len(sketch.buckets) <= MOST_BUCKETS
    assert sketch.count == 24_000


def test_times_that_are_negative_or_tiny_count_as_zero() -> None:
    sketch = Sketch.of([-3.0, 0.0, 5.0])
    assert (sketch.percentile(50), sketch.lowest, sketch.highest) == (0.0, 0.0, 5.0)


def test_a_missing_value_is_not_a_measurement() -> None:
    with pytest.raises(ValueError, match="count it as an error"):
        Sketch().add(math.inf)
    with pytest.raises(ValueError, match="nothing was measured"):
        Sketch().percentile(50)
