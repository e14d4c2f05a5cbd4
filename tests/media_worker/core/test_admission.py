import pytest

from media_worker.core.admission import LATE_MS, LATE_SHARE, WINDOW, Admission

HALF = WINDOW // 2
TOLERATED = int(LATE_SHARE * HALF)


def slots(admission: Admission, count: int, lateness_ms: float = 0.0) -> None:
    for _ in range(count):
        admission.on_slot(lateness_ms)


@pytest.fixture
def admission() -> Admission:
    return Admission(capacity=2)


def test_admits_up_to_its_capacity(admission: Admission) -> None:
    assert [admission.refusal(n, False) for n in range(4)] == [None, None, "full", "full"]


def test_a_draining_worker_admits_no_session(admission: Admission) -> None:
    assert admission.refusal(0, True) == "draining"


def half(admission: Admission, late: int) -> None:
    slots(admission, HALF - late)
    slots(admission, late, LATE_MS + 1)


def test_refuses_while_more_than_a_tolerated_share_of_slots_stays_late(admission: Admission) -> None:
    for late, refusal in [(0, None), (100, None), (TOLERATED + 1, "overloaded"), (TOLERATED, None)]:
        half(admission, late)
        assert admission.refusal(1, False) == refusal


def test_four_callers_at_a_time_are_not_refused_because_their_handshakes_make_slots_late(admission: Admission) -> None:
    half(admission, 0)
    for _ in range(3):
        half(admission, HALF)
        half(admission, 0)
        assert admission.refusal(1, False) is None


def test_an_almost_idle_worker_is_not_overloaded_by_its_neighbours(admission: Admission) -> None:
    slots(admission, 2 * WINDOW, LATE_MS + 1)
    assert admission.refusal(0, False) is None


def test_forgets_lateness_after_its_window(admission: Admission) -> None:
    slots(admission, WINDOW, LATE_MS + 1)
    slots(admission, HALF - TOLERATED - 1)
    assert admission.refusal(1, False) == "overloaded"
    slots(admission, 1)
    assert admission.refusal(1, False) is None


def test_does_not_judge_by_its_first_seconds(admission: Admission) -> None:
    slots(admission, WINDOW - 1, 100.0)
    assert admission.refusal(1, False) is None


def test_a_slot_at_the_limit_is_not_late(admission: Admission) -> None:
    slots(admission, WINDOW, LATE_MS)
    assert admission.refusal(1, False) is None
    assert admission.complexity(5, 0.1) == 5


def test_complexity_falls_before_sessions_are_refused(admission: Admission) -> None:
    slots(admission, WINDOW)
    slots(admission, TOLERATED, LATE_MS + 1)
    assert admission.complexity(5, 0.1) == 5
    slots(admission, 1, LATE_MS + 1)
    assert admission.complexity(5, 0.1) == 0
    assert admission.refusal(1, False) is None


def test_complexity_falls_as_the_core_fills_up(admission: Admission) -> None:
    assert [admission.complexity(5, share) for share in (0.0, 0.4, 0.5, 0.7, 1.0)] == [5, 5, 2, 0, 0]
