import math

import pytest

from gateway.core.scaling import Demand, demand
from shared.worker_report import WorkerReport, WorkerState


def report(sessions: int, capacity: int, state: WorkerState = "serving") -> WorkerReport:
    return WorkerReport(worker_id="w", kind="media", sessions=sessions, capacity=capacity, state=state)


def test_the_sessions_and_a_warm_reserve_must_find_room() -> None:
    assert demand([report(40, 100), report(80, 100)], 0) == Demand(120, 200, 2, 1.56)
    assert demand([report(40, 100), report(80, 100)], 50) == Demand(120, 200, 2, 1.7)
    assert demand([report(10, 80), report(10, 120)], 10).wanted_workers == 0.3


@pytest.mark.parametrize("state", ["draining", "starting"])
def test_the_sessions_of_workers_that_take_none_must_find_room_on_the_others(state: WorkerState) -> None:
    assert demand([report(60, 100), report(60, 100, state)], 40) == Demand(120, 100, 1, 1.6)


@pytest.mark.parametrize("workers", [2, 5, 10, 50])
@pytest.mark.parametrize("capacity", [12, 120, 250])
def test_an_autoscaler_that_ignores_a_tenth_adds_workers_before_callers_are_refused(
    workers: int, capacity: int
) -> None:
    """Kubernetes' HPA has this tolerance. With ten warm sessions alone it would never have added a worker to two."""

    idle = [report(0, capacity)] * (workers - 1)

    def autoscaled(sessions: int, workers: int) -> int:
        wanted = demand([report(sessions, capacity), *idle], 0).wanted_workers
        return workers if abs(1 - wanted / workers) <= 0.1 else math.ceil(wanted)

    whole = workers * capacity
    sessions = next(n for n in range(whole // 2, whole) if autoscaled(n, workers) > workers)
    assert sessions <= 0.9 * whole
    more = autoscaled(sessions, workers)
    assert autoscaled(sessions, more) == more, "and it takes none of them away again"


def test_while_all_workers_drain_as_many_others_are_wanted() -> None:
    assert demand([report(60, 100, "draining"), report(90, 100, "draining")], 50) == Demand(150, 0, 0, 2.0)


def test_full_workers_ask_for_another_one() -> None:
    """Beyond what it can serve, a worker reports its sessions as its capacity."""
    assert demand([report(130, 130), report(130, 130)], 20).wanted_workers > 2


def test_without_any_worker_one_is_wanted() -> None:
    assert demand([], 0) == demand([], 10) == Demand(0, 0, 0, 1.0)


def test_idle_workers_are_wanted_for_the_reserve_alone() -> None:
    assert demand([report(0, 100)], 0).wanted_workers == 0
    assert demand([report(0, 100), report(0, 100)], 10).wanted_workers == 0.1
