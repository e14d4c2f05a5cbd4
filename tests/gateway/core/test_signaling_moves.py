"""Sessions that move to another peer connection of their client."""

import pytest

from gateway.core.connection import State
from gateway.core.session_record import SessionRecord
from gateway.core.signaling import SignalingMachine
from gateway.core.signaling_events import (
    CloseSocket,
    DeadlinePassed,
    Input,
    Lookup,
    MediaWorkerBack,
    MediaWorkerLost,
    Place,
    Placed,
    Release,
    SendToClient,
    SendToWorker,
    SessionFound,
    SessionUnknown,
    SocketClosed,
    Watch,
)
from shared.events import (
    CloseSession,
    OfferRefused,
    OpenSession,
    Resume,
    SessionClosed,
)
from tests.gateway.core.signaling_machines import (
    ANSWER_THERE,
    ANSWERED,
    BYE,
    DETACH,
    END,
    EVENTS,
    FOUND,
    GOAWAY,
    LATER_OFFER,
    LOST,
    MOVED_TO,
    MOVING,
    MOVING_OFFER,
    NO_ROOM,
    OFFER,
    PLACED,
    RECORD,
    RELEASE,
    RULES,
    SHOWN,
    closing,
    error_codes,
    event,
    heard,
    machine_after,
    machine_in,
    missed,
    sent_to_client,
)


def test_a_client_moves_when_its_media_worker_is_lost() -> None:
    machine = machine_in(State.ESTABLISHED)
    assert machine.handle(LOST, 5.0) == [GOAWAY]
    assert machine.deadline_s == 35.0
    assert machine.handle(MOVING_OFFER, 6.0) == [Lookup("s1")]
    assert machine.handle(FOUND, 6.0) == [Place("echo", "gpu", frozenset({"m1"}), "s1")]
    [sent] = machine.handle(MOVED_TO, 6.0)
    where = Resume(generation=2, epoch=2, pipeline_worker="p1", media_worker="m1", seq=4, published=3)
    opening = OpenSession(
        session="s1",
        gateway="g1",
        agent_id="echo",
        sdp="v=2",
        pool="gpu",
        created_ms=1_000_000,
        max_duration_s=60,
        resume_tokens=SHOWN.record(SHOWN),
        resume=where,
        api_key="website",
        counted_in=("counter",),
        traceparent=RECORD.traceparent,
    )
    assert sent == SendToWorker("m2", opening)
    actions = machine.handle(ANSWER_THERE, 6.1)
    assert actions[0] == Watch("s1", "m2")
    assert sent_to_client(actions) == ["session", "answer", "status", "status"]
    assert actions[-2:] == missed(3, 4)
    assert machine.handle(DeadlinePassed(), 99.0) == []
    assert machine.handle(heard(SessionClosed(session="s1", reason="moved")), 7.0) == [], "of the old media worker"
    assert machine.handle(heard(event(9)), 7.0) == []
    assert machine.handle(heard(event(5), "m2"), 7.0) == missed(5)


@pytest.mark.parametrize(("alive", "avoided"), [(True, frozenset()), (False, frozenset({"m1"}))])
def test_only_a_lost_media_worker_is_avoided(alive: bool, avoided: frozenset[str]) -> None:
    machine = SignalingMachine(RULES, 0.0)
    machine.handle(MOVING_OFFER, 0.0)
    assert machine.handle(FOUND._replace(media_alive=alive), 0.0) == [Place("echo", "gpu", avoided, "s1")]


def test_a_page_that_was_reloaded_stays_on_its_media_worker() -> None:
    machine = SignalingMachine(RULES, 0.0)
    machine.handle(MOVING_OFFER, 0.0)
    machine.handle(SessionFound(RECORD.model_copy(update={"gateway": "g1"}), EVENTS), 0.0)
    machine.handle(Placed("s1", "m1"), 0.0)
    machine.handle(ANSWERED, 0.0)
    old_end = heard(SessionClosed(session="s1", reason="moved"))
    assert machine.handle(old_end, 0.1) == [], "the end of the old peer connection"
    assert machine.handle(old_end, 9.0) == [CloseSocket(1000, "moved")], "the client has connected elsewhere"


def test_a_call_ended_when_it_moved_just_after_its_websocket_had_come_back() -> None:
    machine = machine_after(OFFER, PLACED, ANSWERED, state=State.ESTABLISHED)
    machine.handle(MOVING_OFFER, 0.0)
    machine.handle(FOUND, 0.0)  # where the record names the gateway before
    machine.handle(Placed("s1", "m1"), 0.0)
    machine.handle(ANSWERED, 0.0)
    old_end = heard(SessionClosed(session="s1", reason="moved"))
    assert machine.handle(old_end, 0.1) == [], "the end of the old peer connection"
    assert machine.state is State.ESTABLISHED


def test_a_move_that_fails_changes_nothing() -> None:
    bad_offer = heard(OfferRefused(session="s1", code="bad_sdp", message="no"), "m2")
    failures: list[tuple[list[Input], list[str]]] = [([NO_ROOM], ["no_capacity"]), ([MOVED_TO, bad_offer], ["bad_sdp"])]
    for failure, codes in failures:
        machine = machine_after(*MOVING, state=State.PLACING)
        actions = [action for each in failure for action in machine.handle(each, 0.0)]
        assert error_codes(actions) == codes
        assert machine.state is State.ESTABLISHED
        assert machine.handle(heard(event(9)), 1.0) == missed(9)
        assert machine.handle(SocketClosed(), 1.0) == [DETACH]


def test_a_client_that_cannot_move_for_lack_of_room_may_try_again() -> None:
    machine = machine_in(State.MEDIA_LOST)
    machine.handle(MOVING_OFFER, 0.0)
    machine.handle(FOUND, 0.0)
    [refusal] = machine.handle(NO_ROOM, 1.0)
    error = {"type": "error", "code": "no_capacity", "message": "full", "retryAfterMs": 5000}
    assert refusal == SendToClient(error)
    assert (machine.state, machine.deadline_s) == (State.MEDIA_LOST, 31.0)
    assert machine.handle(MOVING_OFFER, 2.0) == [Lookup("s1")]


def test_a_new_peer_connection_that_never_connects_does_not_cost_the_session() -> None:
    failed = heard(SessionClosed(session="s1", reason="connect_timeout"), "m2")
    machine = machine_after(*MOVING, MOVED_TO, ANSWER_THERE, state=State.ESTABLISHED)
    goaway = {"type": "goaway", "timeLeftMs": 0, "scope": "media", "reason": "connect_timeout"}
    assert machine.handle(failed, 5.0) == [SendToClient(goaway)]
    assert machine.deadline_s == 35.0
    assert machine.handle(MOVING_OFFER, 6.0) == [Lookup("s1")]
    first = machine_in(State.ESTABLISHED)
    assert closing(first.handle(heard(SessionClosed(session="s1", reason="connect_timeout")), 5.0)).code == 1011


def test_the_only_media_worker_is_tried_again_when_the_clients_network_was_away() -> None:
    machine = SignalingMachine(RULES, 0.0)
    machine.handle(MOVING_OFFER, 0.0)
    machine.handle(SessionFound(RECORD.model_copy(update={"gateway": "g1"}), EVENTS), 0.0)
    machine.handle(Placed("s1", "m1"), 0.0)
    machine.handle(ANSWERED, 0.0)
    machine.handle(heard(SessionClosed(session="s1", reason="moved")), 0.1)
    machine.handle(heard(SessionClosed(session="s1", reason="connect_timeout")), 10.0)
    machine.handle(MOVING_OFFER, 11.0)
    [place] = machine.handle(FOUND, 11.0)
    assert isinstance(place, Place)
    assert not place.avoid


def test_a_new_place_that_does_not_answer_ends_silently() -> None:
    machine = machine_after(*MOVING, MOVED_TO, state=State.WAITING_FOR_ANSWER)
    assert machine.handle(DeadlinePassed(), 1.5) == [Place("echo", "gpu", frozenset({"m2"}), "s1", "m2")]
    actions = machine.handle(Placed("s1", "m3"), 1.6)
    assert actions[:2] == [
        SendToWorker("m2", CloseSession(session="s1", reason="moved")),
        Release("s1", "m2"),
    ]
    assert machine.handle(ANSWER_THERE, 1.7) == []
    assert machine.state is State.WAITING_FOR_ANSWER


def test_events_of_the_old_media_worker_wait_until_the_move_has_failed() -> None:
    machine = machine_after(*MOVING, state=State.PLACING)
    assert machine.handle(heard(event(5)), 0.0) == []
    assert machine.handle(NO_ROOM, 0.0)[-1:] == missed(5)


@pytest.mark.parametrize("path", [MOVING[:-1], MOVING, [*MOVING, MOVED_TO], [*MOVING, MOVED_TO, DeadlinePassed()]])
def test_the_old_media_worker_ends_while_the_session_moves(path: list[Input]) -> None:
    for failure in (heard(SessionClosed(session="s1", reason="worker_stopped")), LOST):
        machine = SignalingMachine(RULES, 0.0)
        for each in path:
            machine.handle(each, 1.5 if isinstance(each, DeadlinePassed) else 0.0)
        state = machine.state
        assert machine.handle(failure, 1.5) == []
        assert machine.state is state


@pytest.mark.parametrize("path", [MOVING[:-1], MOVING, [*MOVING, MOVED_TO], [*MOVING, MOVED_TO, DeadlinePassed()]])
@pytest.mark.parametrize("reason", ["agent_hangup", "replaced"])
def test_the_session_ends_or_is_taken_over_while_it_moves(path: list[Input], reason: str) -> None:
    machine = SignalingMachine(RULES, 0.0)
    for each in path:
        machine.handle(each, 1.5 if isinstance(each, DeadlinePassed) else 0.0)
    actions = machine.handle(heard(SessionClosed(session="s1", reason=reason)), 1.5)
    assert closing(actions) == CloseSocket(1000, reason)
    assert DETACH not in actions
    assert (Release("s1", "m2") in actions) is (MOVED_TO in path)


def test_a_session_without_media_waits_for_its_client_to_move() -> None:
    machine = machine_after(*MOVING, LOST, NO_ROOM, state=State.MEDIA_LOST)
    assert error_codes(machine.handle(LATER_OFFER, 1.0)) == ["media_worker_lost"]
    assert machine.deadline_s == 30.0
    actions = machine.handle(DeadlinePassed(), 30.0)
    assert actions[0] == DETACH
    assert error_codes(actions) == ["media_worker_lost"]
    assert closing(actions) == CloseSocket(1011, "media_worker_lost")


def test_a_media_worker_that_only_hung_has_its_session_again() -> None:
    machine = machine_in(State.MEDIA_LOST)
    assert machine.handle(MediaWorkerBack("other"), 1.0) == []
    assert error_codes(machine.handle(LATER_OFFER, 1.0)) == ["media_worker_lost"]
    assert machine.handle(MediaWorkerBack("m1"), 1.0) == []
    assert machine.handle(DeadlinePassed(), 99.0) == []
    assert machine.state is State.ESTABLISHED
    moving = machine_after(*MOVING, LOST, MediaWorkerBack("m1"), NO_ROOM, state=State.ESTABLISHED)
    assert moving.handle(MediaWorkerLost("other"), 0.0) == []
    assert moving.state is State.ESTABLISHED


def test_a_lost_session_that_is_unknown_by_now_may_be_followed_by_a_new_one() -> None:
    machine = machine_in(State.MEDIA_LOST)
    machine.handle(MOVING_OFFER, 0.0)
    actions = machine.handle(SessionUnknown(), 0.0)
    assert actions[0] == DETACH
    assert error_codes(actions) == ["resume_refused"]
    assert machine.handle(OFFER, 0.0) == [Place("echo", "default")]


def test_a_client_that_leaves_while_its_session_moves() -> None:
    silently = SendToWorker("m2", CloseSession(session="s1", reason="moved"))
    cut = machine_after(*MOVING, MOVED_TO, state=State.WAITING_FOR_ANSWER)
    assert cut.handle(SocketClosed(), 0.0) == [silently, Release("s1", "m2"), DETACH]
    ended = machine_after(*MOVING, MOVED_TO, state=State.WAITING_FOR_ANSWER)
    assert ended.handle(BYE, 0.0) == [END, silently, Release("s1", "m2"), CloseSocket(1000, "bye")]
    elsewhere = machine_after(MOVING_OFFER, FOUND, MOVED_TO, state=State.WAITING_FOR_ANSWER)
    assert elsewhere.handle(BYE, 0.0) == [silently, Release("s1", "m2"), END, CloseSocket(1000, "bye")]


def test_a_move_within_one_media_worker_that_ends_is_placed_elsewhere() -> None:
    machine = machine_after(MOVING_OFFER, FOUND, PLACED, state=State.WAITING_FOR_ANSWER)
    assert machine.handle(heard(SessionClosed(session="s1", reason="moved")), 0.1) == []
    machine.handle(DeadlinePassed(), 1.5)
    actions = machine.handle(MOVED_TO, 1.5)
    assert actions[:2] == [SendToWorker("m1", CloseSession(session="s1", reason="moved")), RELEASE]


def test_a_record_of_another_agent_pool_and_age_is_taken_over() -> None:
    record = SessionRecord(
        session="s1", agent="other", pool="cpu", media_worker="m9", resume_tokens=SHOWN.record(), max_duration_s=9
    )
    machine = SignalingMachine(RULES, 0.0)
    machine.handle(MOVING_OFFER, 0.0)
    assert machine.handle(SessionFound(record), 0.0) == [Place("other", "cpu", frozenset(), "s1")]
