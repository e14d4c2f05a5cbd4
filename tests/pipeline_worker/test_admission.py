import pytest

from pipeline_worker.admission import LATE_MS, WINDOW, Admission

HALF = WINDOW // 2


def ticked(admission: Admission, late: int) -> Admission:
    """Five seconds, with so many late ticks in each half."""
    for _ in range(2):
        for tick in range(HALF):
            admission.on_tick(LATE_MS + 1 if tick < late else 1.0)
    return admission


def loaded(admission: Admission, core_share: float, sessions: int, seconds: int = 5) -> Admission:
    for _ in range(seconds):
        admission.on_load(core_share, sessions)
    return admission


def test_an_idle_process_has_room_up_to_the_ceiling() -> None:
    admission = ticked(Admission(100), late=0)
    loaded(admission, 0.2, 50)
    assert admission.capacity(0) == admission.capacity(50) == 100


def test_capacity_follows_from_the_cost_of_sessions() -> None:
    admission = loaded(Admission(1000), 0.35, 100)
    assert admission.capacity(100) == admission.capacity(150) == 200
    assert loaded(admission, 0.5, 150).capacity(150) == 210


@pytest.mark.parametrize("sessions", [100, 120])
def test_beyond_the_bound_there_is_no_room_and_no_session_ends(sessions: int) -> None:
    admission = loaded(Admission(1000), 0.9, sessions)
    assert admission.capacity(sessions) == sessions


def test_a_burst_of_callers_does_not_make_the_worker_full_for_seconds() -> None:
    admission = loaded(Admission(1000), 0.1, 100)
    loaded(admission, 1.0, 110, seconds=2)
    for tick in range(WINDOW):
        admission.on_tick(LATE_MS + 1 if tick > HALF else 1.0)
    assert admission.capacity(110) == 1000
    assert loaded(admission, 1.0, 110, seconds=1).capacity(110) == 110


def test_no_session_is_taken_while_the_recogniser_is_overloaded() -> None:
    admission = Admission(1000)
    loaded(admission, 0.1, 100)
    for _ in range(60):
        admission.on_helper_load(0.5)
    assert admission.capacity(100) == 140
    for _ in range(60):
        admission.on_helper_load(1.0)
    assert admission.capacity(100) == 100
    loaded(admission, 0.9, 100)
    for _ in range(60):
        admission.on_helper_load(0.35)
    assert admission.capacity(100) == 100, "the fullest of both tells"


def test_a_recogniser_that_is_busy_for_a_second_does_not_make_the_worker_full() -> None:
    admission = Admission(20)
    admission.on_helper_load(1.0)
    assert admission.capacity(3) == 20


def test_a_late_loop_takes_no_sessions_until_it_is_on_time() -> None:
    admission = ticked(Admission(100), late=HALF // 10 + 1)
    assert admission.capacity(50) == 50
    assert ticked(admission, late=HALF // 10).capacity(50) == 100


def test_few_sessions_are_not_blamed_for_the_load() -> None:
    admission = loaded(ticked(Admission(100), late=HALF), 1.0, 10)
    assert admission.capacity(0) == admission.capacity(9) == 100
    assert admission.capacity(10) == 10
