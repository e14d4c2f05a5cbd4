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


def helped(admission: Admission, core_share: float | None, conversations: int, seconds: int = 100) -> Admission:
    for _ in range(seconds):
        admission.on_helper_load(core_share, conversations)
    return admission


def test_an_idle_process_has_room_for_what_its_core_should_carry() -> None:
    admission = ticked(Admission(), late=0)
    assert admission.capacity(0, 0) == admission.capacity(50, 0) == 120
    assert Admission(speed=0.1).capacity(0, 0) == 12


def test_the_operators_limit_only_lowers_that() -> None:
    assert Admission(limit=7).capacity(0, 0) == 7
    assert Admission(limit=1000).capacity(0, 0) == 120


def test_capacity_follows_from_the_cost_of_sessions() -> None:
    admission = loaded(Admission(), 0.35, 100, seconds=60)
    assert admission.capacity(100, 0) == admission.capacity(150, 0) == 190


@pytest.mark.parametrize("sessions", [100, 120])
def test_beyond_the_bound_there_is_no_room_and_no_session_ends(sessions: int) -> None:
    assert loaded(Admission(), 0.9, sessions).capacity(sessions, sessions) == sessions


def test_callers_who_all_come_at_once_do_not_overload_the_recogniser() -> None:
    admission = helped(Admission(), 0.0, 0, seconds=1)
    assert [admission.capacity(n, n) for n in (0, 19, 20, 21)] == [20, 20, 20, 21]
    helped(admission, 0.0, 20, seconds=3)  # they have not spoken yet
    assert admission.capacity(20, 20) <= 28


def test_callers_of_an_echo_do_not_use_the_recogniser() -> None:
    admission = helped(Admission(), 0.0, 0)
    assert [admission.capacity(n, 0) for n in (0, 4, 60, 110)] == [20, 64, 120, 120]


def test_on_one_core_the_recogniser_shares_it_with_the_voice() -> None:
    alone = helped(Admission(cores=1), 0.0, 0)
    assert alone.capacity(0, 0) == 10
    assert helped(alone, 0.4, 10).capacity(10, 10) == 10
    assert helped(Admission(cores=2), 0.4, 10).capacity(10, 10) > 10


def test_engines_over_the_network_need_no_helper() -> None:
    assert helped(Admission(), None, 50).capacity(50, 50) == 120


def test_no_session_is_taken_while_the_recogniser_is_overloaded() -> None:
    admission = loaded(Admission(), 0.1, 100)
    assert helped(admission, 0.5, 100).capacity(100, 100) == 117
    assert helped(admission, 1.0, 100).capacity(100, 100) == 100
    loaded(admission, 0.9, 100)
    assert helped(admission, 0.35, 100).capacity(100, 100) == 100, "the fullest of both tells"


def test_a_recogniser_that_starts_again_does_not_invite_more_callers() -> None:
    admission = helped(Admission(), 0.5, 15)
    before = admission.capacity(15, 15)
    assert helped(admission, None, 15, seconds=1).capacity(15, 15) <= before + 1


def test_a_recogniser_that_is_busy_for_a_second_does_not_make_the_worker_full() -> None:
    assert helped(Admission(), 1.0, 3, seconds=1).capacity(3, 3) >= 17


def test_a_late_loop_takes_no_sessions_until_it_is_on_time() -> None:
    admission = ticked(Admission(), late=HALF // 10 + 1)
    assert admission.capacity(50, 0) == 50
    assert ticked(admission, late=HALF // 10).capacity(50, 0) == 120


def test_room_comes_back_slowly_after_the_loop_was_late() -> None:
    """Workers that share a core were on time until they had taken as many callers again at once."""
    admission = loaded(ticked(Admission(), late=HALF), 0.3, 50)
    loaded(ticked(admission, late=0), 0.3, 50, seconds=1)
    assert admission.capacity(50, 0) <= 70
    assert loaded(admission, 0.3, 50, seconds=20).capacity(50, 0) > 110


def test_few_sessions_are_not_blamed_for_the_lateness() -> None:
    admission = ticked(Admission(), late=HALF)
    assert admission.capacity(0, 0) == admission.capacity(11, 0) == 120
    assert admission.capacity(12, 0) == 12
