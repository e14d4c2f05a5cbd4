"""Media workers that are full, silent, or late with their answers."""

from gateway.core.connection import State
from gateway.core.signaling import SignalingMachine
from gateway.core.signaling_events import (
    CloseSocket,
    DeadlinePassed,
    Place,
    Placed,
    PlacementRefused,
    Release,
    SendToClient,
    SendToWorker,
    SocketClosed,
)
from shared.events import CloseSession, OfferAnswered, OfferRefused, OpenSession, SessionClosed
from tests.gateway.core.signaling_machines import (
    ANSWERED,
    OFFER,
    PLACED,
    RELEASE,
    RULES,
    SHOWN,
    closing,
    error_codes,
    heard,
    machine_in,
    sent_to_client,
)

FULL = {"code": "no_capacity", "message": "full", "retry_after_ms": 700}
GIVEN_UP = SendToWorker("m1", CloseSession(session="s1", reason="answer_timeout"))
ELSEWHERE = Placed("s2", "m2")
NOWHERE = PlacementRefused("no_capacity", "no room")
OPENED_ELSEWHERE = SendToWorker(
    "m2",
    OpenSession(session="s2", gateway="g1", agent_id="echo", sdp="v=0", resume_tokens=SHOWN.record()),
)


def test_a_full_worker_is_avoided_in_up_to_three_placements() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    assert machine.handle(heard(OfferRefused(session="s1", **FULL)), 0.0) == [
        RELEASE,
        Place("echo", "default", frozenset({"m1"})),
    ]
    machine.handle(Placed("s2", "m2"), 0.0)
    assert machine.handle(heard(OfferRefused(session="s2", **FULL), "m2"), 0.0) == [
        Release("s2", "m2"),
        Place("echo", "default", frozenset({"m1", "m2"})),
    ]
    machine.handle(Placed("s3", "m3"), 0.0)
    assert machine.handle(heard(OfferRefused(session="s3", **FULL), "m3"), 0.0) == [
        Release("s3", "m3"),
        SendToClient({"type": "error", "code": "no_capacity", "message": "full", "retryAfterMs": 700}),
        CloseSocket(1013, "no_capacity"),
    ]


def test_an_offer_waited_ten_seconds_for_a_dead_media_worker_beside_an_idle_one() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    assert machine.deadline_s == 1.5
    assert machine.handle(DeadlinePassed(), 1.5) == [Place("echo", "default", frozenset({"m1"}), silent="m1")]
    assert machine.handle(ELSEWHERE, 1.5) == [GIVEN_UP, RELEASE, OPENED_ELSEWHERE]
    assert machine.handle(ANSWERED, 1.6) == [], "the first place answers too late"
    actions = machine.handle(heard(OfferAnswered(session="s2", sdp="a=2"), "m2"), 1.7)
    assert sent_to_client(actions) == ["session", "answer"]
    assert machine.state is State.ESTABLISHED


def test_late_messages_of_a_session_that_was_placed_elsewhere_are_ignored() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    machine.handle(heard(OfferRefused(session="s1", code="no_capacity", message="full")), 0.0)
    machine.handle(Placed("s2", "m2"), 0.0)
    assert machine.handle(heard(SessionClosed(session="s1")), 0.0) == []
    assert machine.handle(ANSWERED, 0.0) == []
    assert machine.state is State.WAITING_FOR_ANSWER


def test_a_busy_media_worker_is_waited_for_if_there_is_no_other() -> None:
    machine = machine_in(State.PLACING_AGAIN)
    assert machine.handle(NOWHERE, 1.5) == []
    assert machine.state is State.WAITING_FOR_ANSWER
    assert machine.deadline_s == 10.0
    assert sent_to_client(machine.handle(ANSWERED, 4.0)) == ["session", "answer"]


def test_an_answer_that_comes_while_another_place_is_looked_for_counts() -> None:
    for found in (ELSEWHERE, NOWHERE):
        machine = machine_in(State.PLACING_AGAIN)
        assert machine.handle(ANSWERED, 1.5) == []
        actions = machine.handle(found, 1.6)
        assert sent_to_client(actions) == ["session", "answer"]
        assert (Release("s2", "m2") in actions) is (found is ELSEWHERE)
        assert machine.session == "s1"


def test_a_refusal_that_comes_while_another_place_is_looked_for_counts() -> None:
    bad = heard(OfferRefused(session="s1", code="bad_sdp", message="no audio"))
    full = heard(OfferRefused(session="s1", **FULL))
    machine = machine_in(State.PLACING_AGAIN)
    machine.handle(bad, 1.5)
    actions = machine.handle(ELSEWHERE, 1.6)
    assert actions[:2] == [Release("s2", "m2"), RELEASE]
    assert error_codes(actions) == ["bad_sdp"]

    machine = machine_in(State.PLACING_AGAIN)
    machine.handle(full, 1.5)
    assert machine.handle(ELSEWHERE, 1.6)[-1] == OPENED_ELSEWHERE

    machine = machine_in(State.PLACING_AGAIN)
    machine.handle(full, 1.5)
    assert closing(machine.handle(NOWHERE, 1.6)) == CloseSocket(1013, "no_capacity")


def test_no_media_worker_answers_in_time() -> None:
    machine = SignalingMachine(RULES, 0.0)
    machine.handle(OFFER, 0.0)
    deadlines = []
    for number in (1, 2, 3):
        machine.handle(Placed(f"s{number}", f"m{number}"), machine.deadline_s or 0.0)
        deadlines.append(machine.deadline_s)
        assert machine.deadline_s is not None
        actions = machine.handle(DeadlinePassed(), machine.deadline_s)
    assert deadlines == [1.5, 1.5, 10.0]
    assert actions == [
        SendToWorker("m3", CloseSession(session="s3", reason="answer_timeout")),
        Release("s3", "m3"),
        SendToClient(
            {
                "type": "error",
                "code": "answer_timeout",
                "message": "no media worker answered the offer in time",
                "retryAfterMs": 5000,
            }
        ),
        CloseSocket(1013, "answer_timeout"),
    ]


def test_the_time_for_an_answer_is_for_all_places_together() -> None:
    machine = machine_in(State.PLACING)
    machine.handle(PLACED, 9.0)
    assert machine.deadline_s == 10.0
    assert closing(machine.handle(DeadlinePassed(), 10.0)) == CloseSocket(1013, "answer_timeout")


def test_a_client_that_leaves_while_another_place_is_looked_for_leaves_no_slot_reserved() -> None:
    machine = machine_in(State.PLACING_AGAIN)
    assert machine.handle(SocketClosed(), 2.0) == [
        SendToWorker("m1", CloseSession(session="s1", reason="hangup")),
        RELEASE,
    ]
    assert machine.state is State.ABANDONING
    assert machine.handle(ELSEWHERE, 2.1) == [Release("s2", "m2")]
