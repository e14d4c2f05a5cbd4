from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callers.load.knee import MOST_REFINEMENTS, KneeSearch, Step
from callers.load.results import Stage
from tests.callers.load.stages import server, stage


def _search(search: KneeSearch, measure: Callable[[int], Stage]) -> list[Step]:
    steps = []
    while (step := search.next_step) is not None:
        steps.append(step)
        search.take(measure(step.callers))
        assert len(steps) < 200
    return steps


def _saturates_above(capacity: int) -> Callable[[int], Stage]:
    return lambda callers: stage(
        callers,
        set_up_ms=100.0 if callers <= capacity else 9_000.0,
        server=server(media_worker=min(1.0, callers / (capacity + 1))),
    )


def test_the_knee_is_found_and_its_resource_named() -> None:
    search = KneeSearch(first=10, most=1000)
    _search(search, _saturates_above(87))
    knee = search.knee
    assert knee is not None
    assert knee.callers <= 87 < knee.bad_callers
    assert (knee.signal, knee.resource, knee.role) == ("set_up", "role", "media_worker")
    assert "9000 ms" in knee.reason
    assert "media worker" in knee.reason


@given(st.integers(0, 5000), st.integers(1, 200), st.floats(1.05, 4), st.floats(0.0, 0.3))
def test_the_knee_lies_between_the_levels_that_are_reported(
    capacity: int, first: int, factor: float, resolution: float
) -> None:
    search = KneeSearch(first, 3000, factor, resolution)
    steps = _search(search, _saturates_above(capacity))
    knee = search.knee
    if capacity >= 3000:
        assert knee is None
        assert steps[-1].callers == 3000
        return
    assert knee is not None
    assert knee.callers <= capacity < knee.bad_callers
    first_bad = max(step.callers for step in steps)
    climbed = [step.callers for step in steps[: next(i for i, step in enumerate(steps) if step.callers == first_bad)]]
    halved_often = (first_bad - max(climbed, default=0)) / 2**MOST_REFINEMENTS + 1
    assert knee.bad_callers - knee.callers <= max(1.0, resolution * knee.bad_callers, halved_often)
    assert all(1 <= step.callers <= 3000 for step in steps)


@given(st.lists(st.booleans(), max_size=300))
def test_it_ends_whatever_is_measured(verdicts: list[bool]) -> None:
    fate = iter(verdicts)
    search = KneeSearch(first=10, most=1000)
    steps = _search(search, lambda callers: stage(callers, loss_percent=0.0 if next(fate, False) else 9.0))
    assert len(steps) <= 40
    if search.knee is not None:
        assert search.knee.callers < search.knee.bad_callers


def test_one_bad_moment_is_not_the_knee() -> None:
    moments = iter([0.0, 0.0, 9.0])
    search = KneeSearch(first=10, most=40, factor=2.0)
    steps = _search(search, lambda callers: stage(callers, loss_percent=next(moments, 0.0)))
    assert steps == [Step(10), Step(20), Step(40), Step(40, rest=10)]
    assert search.knee is None


def test_a_server_that_carries_nobody_has_its_knee_at_zero() -> None:
    search = KneeSearch(first=4, most=100)
    _search(search, lambda callers: stage(callers, errors={"connection_failed": callers}, connected=0))
    assert search.knee is not None
    assert (search.knee.callers, search.knee.bad_callers, search.knee.signal) == (0, 1, "errors")


def test_a_stage_of_another_level_is_refused() -> None:
    with pytest.raises(ValueError, match="not the next step"):
        KneeSearch(first=4, most=100).take(stage(5))
