from itertools import pairwise

import pytest

from media_worker.core.admission import LATE_MS, LATE_SHARE, WINDOW, Admission

HALF = WINDOW // 2
TOLERATED = int(LATE_SHARE * HALF)


def slots(admission: Admission, count: int, lateness_ms: float = 0.0) -> None:
    for _ in range(count):
        admission.on_slot(lateness_ms)


@pytest.fixture
def admission() -> Admission:
    return Admission()


def test_admits_up_to_what_it_can_serve(admission: Admission) -> None:
    assert [admission.refusal(n, False) for n in (0, 119, 120, 121)] == [None, None, "full", "full"]
    assert [Admission(speed=0.1).refusal(n, False) for n in (0, 11, 12)] == [None, None, "full"]


def test_the_operators_limit_only_lowers_that() -> None:
    limited = Admission(limit=2)
    assert [limited.refusal(n, False) for n in range(4)] == [None, None, "full", "full"]
    assert limited.capacity(0) == 2
    assert Admission(limit=1000).capacity(0) == 120


def test_the_encoders_effort_at_low_load_does_not_count_because_it_falls_with_load(admission: Admission) -> None:
    thrifty, spending = Admission(), Admission()
    for _ in range(60):
        thrifty.on_load(0.20, 50, complexity=0)
        spending.on_load(0.27, 50, complexity=5)
    assert thrifty.capacity(50) == spending.capacity(50) > 150


def test_while_slots_stay_late_there_is_no_room(admission: Admission) -> None:
    slots(admission, WINDOW, LATE_MS + 1)
    assert admission.capacity(40) == 40
    assert admission.refusal(40, False) == "overloaded"


def test_room_comes_back_slowly_after_slots_were_late(admission: Admission) -> None:
    """Workers that share a core were on time until they had taken as many callers again at once."""
    slots(admission, WINDOW, LATE_MS + 1)
    for _ in range(5):
        admission.on_load(0.2, 40, complexity=0)
    slots(admission, WINDOW)
    admission.on_load(0.2, 40, complexity=0)
    assert admission.capacity(40) <= 60
    for _ in range(20):
        admission.on_load(0.2, 40, complexity=0)
    assert admission.capacity(40) > 120


def test_a_draining_worker_admits_no_session(admission: Admission) -> None:
    assert admission.refusal(0, True) == "draining"


def half(admission: Admission, late: int) -> None:
    slots(admission, HALF - late)
    slots(admission, late, LATE_MS + 1)


def test_refuses_while_more_than_a_tolerated_share_of_slots_stays_late(admission: Admission) -> None:
    for late, refusal in [(0, None), (100, None), (TOLERATED + 1, "overloaded"), (TOLERATED, None)]:
        half(admission, late)
        assert admission.refusal(20, False) == refusal


def test_four_callers_at_a_time_are_not_refused_because_their_handshakes_make_slots_late(admission: Admission) -> None:
    half(admission, 0)
    for _ in range(3):
        half(admission, HALF)
        half(admission, 0)
        assert admission.refusal(20, False) is None


def test_an_almost_idle_worker_is_not_overloaded_by_its_neighbours(admission: Admission) -> None:
    slots(admission, 2 * WINDOW, LATE_MS + 1)
    assert admission.refusal(9, False) is None


def test_forgets_lateness_after_its_window(admission: Admission) -> None:
    slots(admission, WINDOW, LATE_MS + 1)
    slots(admission, HALF - TOLERATED - 1)
    assert admission.refusal(20, False) == "overloaded"
    slots(admission, 1)
    assert admission.refusal(20, False) is None


def test_does_not_judge_by_its_first_seconds(admission: Admission) -> None:
    slots(admission, WINDOW - 1, 100.0)
    assert admission.refusal(20, False) is None


def test_a_slot_at_the_limit_is_not_late(admission: Admission) -> None:
    slots(admission, WINDOW, LATE_MS)
    assert admission.refusal(20, False) is None
    assert admission.complexity(5, 0.1) == 5


def test_complexity_falls_before_sessions_are_refused(admission: Admission) -> None:
    slots(admission, WINDOW)
    slots(admission, TOLERATED, LATE_MS + 1)
    assert admission.complexity(5, 0.1) == 5
    slots(admission, 1, LATE_MS + 1)
    assert admission.complexity(5, 0.1) == 0
    assert admission.refusal(20, False) is None


def test_complexity_falls_as_the_core_fills_up(admission: Admission) -> None:
    assert [admission.complexity(5, share) for share in (0.0, 0.4, 0.5, 0.7, 1.0)] == [5, 5, 2, 0, 0]


@pytest.mark.parametrize("slower", [0.5, 1, 3, 10])
def test_a_ramp_of_callers_fills_a_fast_or_slow_core_and_no_more_while_the_encoders_effort_falls(slower: float) -> None:
    cost = 0.0042 * slower
    admission, sessions, complexity, capacities = Admission(speed=1 / slower), 0, 5, []
    for second in range(400):
        arriving = second >= 5 and second % max(1, round(slower)) == 0
        sessions += bool(arriving and admission.refusal(sessions, False) is None)
        core_share = 0.02 + sessions * cost * (1 + 0.09 * complexity)
        admission.on_load(core_share, sessions, complexity)
        complexity = admission.complexity(5, core_share)
        capacities.append(admission.capacity(sessions))
    assert 0.6 < 0.02 + sessions * cost < 0.75
    jumps = [abs(after - before) for before, after in pairwise(capacities)]
    assert max(jumps) <= max(2, 0.1 * max(capacities))
