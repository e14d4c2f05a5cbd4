import itertools

from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.pipeline_guard import (
    EPOCHS_SKIPPED,
    LOOKS_UNTIL_GONE,
    Asked,
    Decision,
    GivenUp,
    Lost,
    PipelineGuard,
)


def guard(**moved: object) -> PipelineGuard:
    return PipelineGuard(8.0, 30.0, **moved)  # type: ignore[arg-type]


def served(now: float = 0.0) -> PipelineGuard:
    """By worker p1, under epoch 1."""
    fresh = guard()
    assert fresh.begin(now) == [Asked(1, resumed=False)]
    assert fresh.on_attached("p1", 1) == "accepted"
    return fresh


def wait(guard: PipelineGuard, since_s: float, seconds: float, deaf: bool = False) -> list[Decision]:
    """What it decides in so many seconds without a word of the worker, or of anybody if we are `deaf`."""
    decisions: list[Decision] = []
    for step in range(1, round(seconds * 4) + 1):
        decisions += guard.check(since_s + step / 4, silent=False, deaf=deaf)
    return decisions


def look(guard: PipelineGuard, now: float) -> list[Decision]:
    return list(itertools.chain.from_iterable(guard.on_look(False, now) for _ in range(LOOKS_UNTIL_GONE)))


def test_nobody_is_asked_for_before_the_caller_is_connected() -> None:
    waiting = guard()
    assert waiting.check(100.0, silent=False, deaf=False) == []
    assert waiting.on_attached("p1", 1) == "refused"
    assert not waiting.accepts("", 0), "nobody is attached"


def test_only_the_attached_worker_is_heard_and_only_under_its_epoch() -> None:
    session = served()
    assert session.accepts("p1", 1)
    assert not session.accepts("p2", 1)
    assert not session.accepts("p1", 2)


def test_a_second_worker_with_the_same_epoch_is_refused() -> None:
    session = served()
    assert session.on_attached("p2", 1) == "refused"
    assert session.on_attached("p1", 1) == "repeated"
    assert session.worker == "p1"


def test_a_worker_that_invents_an_epoch_is_refused() -> None:
    session = served()
    assert session.on_attached("p2", 2) == "refused"


def test_a_silent_worker_is_lost_and_another_one_asked_for() -> None:
    session = served()
    assert session.check(3.0, silent=True, deaf=False) == [Lost("p1", 1), Asked(2, resumed=True)]
    assert not session.accepts("p1", 1), "it may wake up"
    assert session.on_attached("p1", 1) == "refused"
    assert session.on_attached("p2", 2) == "accepted"
    assert session.accepts("p2", 2)


def test_nobody_is_lost_while_the_broker_cannot_be_read() -> None:
    assert served().check(3.0, silent=True, deaf=True) == []


def test_a_claimed_job_without_an_attachment_is_asked_for_again() -> None:
    session = guard()
    session.begin(0.0)
    for _ in range(10):
        assert session.on_look(True, 1.0) == [], "it waits its turn"
    for waits in (False, False, False, True, False):
        assert session.on_look(waits, 1.5) == [], "the broker had lost it, and has it again"
    session.on_look(True, 1.5)
    assert look(session, 2.0) == [Asked(2, resumed=False)]
    assert session.on_attached("late", 1) == "accepted", "the first one was only slow"
    assert session.on_attached("p2", 2) == "refused"


def test_without_a_worker_the_session_is_given_up_after_the_time_in_which_the_broker_could_be_read() -> None:
    session = guard()
    session.begin(0.0)
    assert wait(session, 0.0, 8.0) == []
    assert wait(session, 8.0, 60.0, deaf=True) == []
    assert wait(session, 68.0, 10.0) == [GivenUp("no_pipeline")]
    assert session.on_attached("p1", 1) == "refused"


def test_a_session_that_had_a_worker_waits_longer_for_the_next() -> None:
    session = served()
    session.check(3.0, silent=True, deaf=False)
    assert wait(session, 3.0, 29.0) == []
    assert wait(session, 32.0, 2.0) == [GivenUp("no_pipeline")]


def test_the_wait_for_the_first_worker_is_not_taken_from_the_wait_for_the_next() -> None:
    session = guard()
    session.begin(0.0)
    assert wait(session, 0.0, 7.0) == []
    session.on_attached("p1", 1)
    session.check(8.0, silent=True, deaf=False)
    assert wait(session, 8.0, 29.0) == []


def test_looks_for_the_first_job_do_not_count_for_the_next() -> None:
    session = guard()
    session.begin(0.0)
    for _ in range(LOOKS_UNTIL_GONE - 1):
        session.on_look(False, 1.0)
    session.on_attached("p1", 1)
    session.check(3.0, silent=True, deaf=False)
    assert [session.on_look(False, 3.5) for _ in range(LOOKS_UNTIL_GONE - 1)] == [[]] * (LOOKS_UNTIL_GONE - 1)


def test_a_stall_of_our_own_process_is_not_counted_as_waiting() -> None:
    session = guard()
    session.begin(0.0)
    assert session.check(60.0, silent=False, deaf=False) == []


def test_a_session_that_kills_its_workers_does_not_kill_them_all() -> None:
    session = served()
    for epoch in (2, 3, 4):
        assert session.check(3.0 * epoch, silent=True, deaf=False)[-1] == Asked(epoch, resumed=True)
        session.on_attached(f"p{epoch}", epoch)
    assert session.check(20.0, silent=True, deaf=False) == [Lost("p4", 4), GivenUp("pipeline_lost")]


def test_takeovers_of_an_hour_do_not_add_up() -> None:
    session = served()
    for epoch in range(2, 20):
        assert session.check(61.0 * epoch, silent=True, deaf=False)[-1] == Asked(epoch, resumed=True)
        session.on_attached(f"p{epoch}", epoch)


def test_a_leaving_worker_serves_until_the_next_has_attached() -> None:
    session = served()
    assert session.on_leaving() == [Asked(2, resumed=True)]
    assert session.on_leaving() == []
    assert wait(session, 0.0, 60.0) == []
    assert session.accepts("p1", 1)
    assert session.on_attached("p2", 2) == "accepted"
    assert not session.accepts("p1", 1)


def test_a_leaving_worker_that_attaches_again_stays_until_it_wants_to_leave_again() -> None:
    session = served()
    session.on_leaving()
    assert session.on_attached("p1", 1) == "repeated"
    assert look(session, 3.0) == [], "its request was withdrawn"
    assert session.accepts("p1", 1)
    assert session.on_leaving() == [Asked(3, resumed=True)]


def test_a_worker_that_had_taken_the_session_already_gets_it_though_the_other_one_would_stay() -> None:
    session = served()
    session.on_leaving()
    session.on_attached("p1", 1)
    assert session.on_attached("p2", 2) == "accepted"


def test_a_worker_that_has_stayed_and_dies_is_replaced() -> None:
    session = served()
    session.on_leaving()
    session.on_attached("p1", 1)
    assert session.check(3.0, silent=True, deaf=False) == [Lost("p1", 1), Asked(3, resumed=True)]


def test_a_leaving_worker_that_dies_is_replaced_by_the_one_that_was_asked_for() -> None:
    session = served()
    session.on_leaving()
    assert session.check(3.0, silent=True, deaf=False) == [Lost("p1", 1)]
    assert session.on_attached("p2", 2) == "accepted"


def test_a_leaving_worker_whose_successors_all_die_goes_on() -> None:
    session = served()
    session.on_leaving()
    for epoch in (3, 4, 5):
        assert look(session, 5.0) == [Asked(epoch, resumed=True)]
    assert look(session, 8.0) == []
    assert session.accepts("p1", 1)


def test_a_session_that_moved_here_keeps_its_worker_and_counts_on() -> None:
    session = guard(worker="p7", epoch=7)
    assert session.begin(0.0) == []
    assert session.accepts("p7", 7)
    assert session.check(3.0, silent=True, deaf=False) == [
        Lost("p7", 7),
        Asked(8 + EPOCHS_SKIPPED, resumed=True),
    ]


def test_a_session_that_moved_here_without_a_worker_asks_for_one() -> None:
    assert guard(epoch=3).begin(0.0) == [Asked(4 + EPOCHS_SKIPPED, resumed=True)]


def test_a_session_that_says_goodbye_needs_no_other_worker() -> None:
    session = served()
    session.on_leaving()
    session.end()
    assert session.check(3.0, silent=True, deaf=False) == []
    assert session.on_attached("p2", 2) == "refused"
    assert session.accepts("p1", 1), "its last words count"


@given(st.lists(st.sampled_from(["silent", "quiet", "look", "leave", "attach_old", "attach_new"]), max_size=60))
def test_epochs_only_grow_and_there_is_one_speaker_at_most(steps: list[str]) -> None:
    session = guard()
    asked = [d.epoch for d in session.begin(0.0) if isinstance(d, Asked)]
    for at, step in enumerate(steps):
        decisions: list[Decision] = []
        before = session.epoch
        match step:
            case "silent" | "quiet":
                decisions = session.check(at / 4, silent=step == "silent", deaf=False)
            case "look":
                decisions = session.on_look(False, at / 4)
            case "leave":
                decisions = session.on_leaving()
            case _:
                session.on_attached(f"p{at}", asked[-1] if step == "attach_new" else asked[0])
        asked += [decision.epoch for decision in decisions if isinstance(decision, Asked)]
        assert session.epoch >= before
        assert asked == sorted(set(asked))
        speakers = [(f"p{n}", epoch) for n in range(len(steps)) for epoch in asked if session.accepts(f"p{n}", epoch)]
        assert len(speakers) <= 1
