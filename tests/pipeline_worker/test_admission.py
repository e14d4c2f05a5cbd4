import pytest

from pipeline_worker.admission import LATE_MS, WINDOW, Admission


def ticked(admission: Admission, late: int) -> Admission:
    for tick in range(WINDOW):
        admission.on_tick(LATE_MS + 1 if tick < late else 1.0)
    return admission


def test_an_idle_process_has_room_up_to_the_ceiling() -> None:
    admission = ticked(Admission(100), late=0)
    admission.on_load(0.2)
    assert admission.capacity(0) == admission.capacity(50) == 100


def test_capacity_follows_from_the_cost_of_sessions() -> None:
    admission = Admission(1000)
    admission.on_load(0.35)
    assert admission.capacity(100) == 200
    admission.on_load(0.5)
    assert admission.capacity(150) == 210


@pytest.mark.parametrize("sessions", [100, 120])
def test_beyond_the_bound_there_is_no_room_and_no_session_ends(sessions: int) -> None:
    admission = Admission(1000)
    admission.on_load(0.9)
    assert admission.capacity(sessions) == sessions


def test_load_is_seen_at_once_and_its_end_slowly() -> None:
    admission = Admission(1000)
    admission.on_load(0.7)
    admission.on_load(0.1)
    assert admission.capacity(100) < 200
    for _ in range(10):
        admission.on_load(0.1)
    assert admission.capacity(100) == 1000


def test_no_session_is_taken_while_the_recogniser_is_overloaded() -> None:
    admission = Admission(1000)
    for _ in range(60):
        admission.on_load(0.1)
        admission.on_helper_load(0.5)
    assert admission.capacity(100) == 140
    for _ in range(60):
        admission.on_helper_load(1.0)
    assert admission.capacity(100) == 100
    admission.on_load(0.9)
    for _ in range(60):
        admission.on_helper_load(0.35)
    assert admission.capacity(100) == 100, "the fullest of both tells"


def test_a_recogniser_that_is_busy_for_a_second_does_not_make_the_worker_full() -> None:
    admission = Admission(20)
    admission.on_helper_load(1.0)
    assert admission.capacity(3) == 20


def test_a_late_loop_takes_no_sessions_until_it_is_on_time() -> None:
    admission = ticked(Admission(100), late=WINDOW // 10 + 1)
    assert admission.capacity(50) == 50
    assert ticked(admission, late=WINDOW // 10).capacity(50) == 100


def test_few_sessions_are_not_blamed_for_the_load() -> None:
    admission = ticked(Admission(100), late=WINDOW)
    admission.on_load(1.0)
    assert admission.capacity(0) == admission.capacity(9) == 100
    assert admission.capacity(10) == 10
