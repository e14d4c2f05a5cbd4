"""Clients that come back to their session on another WebSocket."""

import pytest

from gateway.core.client_messages import Offer, ResumeSession
from gateway.core.connection import State
from gateway.core.session_record import StoredEvent
from gateway.core.signaling import SignalingMachine
from gateway.core.signaling_events import (
    CloseSocket,
    EventsRead,
    Input,
    Lookup,
    LookupFailed,
    MessagesLost,
    Place,
    ReadEvents,
    SendToClient,
    SendToWorker,
    SessionFound,
    SessionUnknown,
    SocketClosed,
    Watch,
)
from shared.events import (
    CloseSession,
    GatewayAttached,
    SessionClosed,
)
from tests.gateway.core.signaling_machines import (
    ANSWER_THERE,
    DETACH,
    EVENTS,
    FOUND,
    MOVED_TO,
    MOVING_OFFER,
    NEW_TOKEN,
    NEXT,
    OFFER,
    OTHER,
    RECORD,
    RESUME,
    RULES,
    SHOWN,
    TOKEN,
    error_codes,
    event,
    heard,
    machine_in,
    missed,
    rotating,
    sent_to_client,
)


def test_a_client_whose_websocket_was_cut_comes_back_and_gets_what_it_missed() -> None:
    machine = rotating()
    assert machine.handle(RESUME, 0.0) == [Lookup("s1")]
    hashes = NEXT.record(SHOWN)
    assert machine.handle(FOUND, 0.0) == [
        SendToWorker("m1", GatewayAttached(session="s1", gateway="g1", resume_tokens=hashes)),
        Watch("s1", "m1"),
        SendToClient({"type": "resumed", "sessionId": "s1", "resumeToken": NEW_TOKEN, "expiresAt": 1_060_000}),
        ReadEvents("s1"),
    ]
    assert machine.handle(heard(event(6)), 0.1) == []
    assert machine.handle(EventsRead([*EVENTS, StoredEvent(5, event(5).event)]), 0.3) == missed(3, 4, 5, 6)
    assert machine.handle(heard(event(7)), 0.4) == missed(7)
    assert machine.handle(SocketClosed(), 1.0) == [DETACH]


@pytest.mark.parametrize("recorded", [SHOWN.record(), NEXT.record(SHOWN)])
def test_a_client_that_never_got_its_new_token_comes_back_with_the_previous_one(recorded: tuple[str, ...]) -> None:
    machine = machine_in(State.LOOKING_UP)
    record = RECORD.model_copy(update={"resume_tokens": recorded})
    assert "resumed" in sent_to_client(machine.handle(SessionFound(record), 0.0))


@pytest.mark.parametrize(
    "answer",
    [
        SessionUnknown(),
        SessionFound(RECORD.model_copy(update={"resume_tokens": ()})),
        SessionFound(RECORD.model_copy(update={"resume_tokens": OTHER.record()})),
    ],
)
def test_a_wrong_token_is_refused_like_one_of_an_unknown_session(answer: Input) -> None:
    message = "this session cannot be resumed: send an offer without resumeToken"
    refusal = [SendToClient({"type": "error", "code": "resume_refused", "message": message})]
    for request in (RESUME, MOVING_OFFER):
        machine = SignalingMachine(RULES, 0.0)
        machine.handle(request, 0.0)
        assert machine.handle(answer, 0.0) == refusal
        assert machine.state is State.WAITING_FOR_OFFER
        assert machine.handle(OFFER, 0.0) == [Place("echo", "default")]
    no_token = ResumeSession(type="resume", resumeToken="no token")
    assert SignalingMachine(RULES, 0.0).handle(no_token, 0.0) == refusal


def test_the_broker_is_away_when_a_client_comes_back() -> None:
    machine = machine_in(State.LOOKING_UP)
    [refusal] = machine.handle(LookupFailed("broker_unavailable", "away", 5000), 3.0)
    error = {"type": "error", "code": "broker_unavailable", "message": "away", "retryAfterMs": 5000}
    assert refusal == SendToClient(error)
    assert (machine.state, machine.deadline_s) == (State.WAITING_FOR_OFFER, 13.0)


def test_a_client_comes_back_to_a_session_whose_media_worker_is_lost() -> None:
    machine = machine_in(State.LOOKING_UP)
    actions = machine.handle(FOUND._replace(media_alive=False), 0.0)
    assert sent_to_client(actions) == ["resumed", "goaway"]
    assert machine.state is State.MEDIA_LOST
    assert machine.handle(EventsRead(EVENTS), 0.3) == missed(3, 4)


def test_a_client_whose_websocket_is_cut_again_before_it_has_moved_is_not_locked_out() -> None:
    """It was given a token that nobody had recorded."""
    cases: list[tuple[Input, list[Input]]] = [(RESUME, []), (MOVING_OFFER, [MOVED_TO, ANSWER_THERE])]
    for request, inputs in cases:
        machine = rotating()
        machine.handle(request, 0.0)
        actions = machine.handle(FOUND._replace(media_alive=False), 0.0)
        actions += [action for each in inputs for action in machine.handle(each, 0.0)]
        [token] = [
            a.message["resumeToken"] for a in actions if isinstance(a, SendToClient) and "resumeToken" in a.message
        ]
        assert token == NEW_TOKEN
        machine = SignalingMachine(RULES, 0.0)
        machine.handle(ResumeSession(type="resume", resumeToken=token), 0.0)
        assert "resumed" in sent_to_client(machine.handle(FOUND, 0.0))


@pytest.mark.parametrize("kind", ["resume", "offer"])
def test_a_stolen_old_token_was_only_refused(kind: str) -> None:
    """Whether its thief or the caller shows it: somebody else has shown a newer one."""
    newer, newest = (OTHER._replace(anchor=own, own=own) for own in ("x" * 22, "y" * 22))
    record = RECORD.model_copy(update={"resume_tokens": newest.record(newer)})
    machine = SignalingMachine(RULES, 0.0)
    request = RESUME if kind == "resume" else MOVING_OFFER
    machine.handle(request.model_copy(update={"resume_token": str(OTHER)}), 0.0)
    ending, *told = machine.handle(SessionFound(record), 0.0)
    assert ending == SendToWorker("m1", CloseSession(session="s1", reason="resume_token_reused"))
    assert error_codes(told) == ["resume_token_reused"]
    assert machine.handle(OFFER, 0.0) == [Place("echo", "default")], "another session may follow"


def test_a_client_that_leaves_while_its_session_is_looked_up() -> None:
    machine = machine_in(State.LOOKING_UP)
    assert machine.handle(SocketClosed(), 0.0) == []
    assert machine.handle(FOUND, 0.0) == []
    assert machine.state is State.CLOSED


@pytest.mark.parametrize("state", [State.ESTABLISHED, State.RENEGOTIATING, State.MEDIA_LOST])
def test_a_connection_has_one_session(state: State) -> None:
    machine = machine_in(state)
    assert error_codes(machine.handle(RESUME, 0.0)) == ["already_attached"]
    assert machine.state is state


def test_another_sessions_token_is_refused_on_a_connection_that_has_a_session() -> None:
    machine = machine_in(State.ESTABLISHED)
    other = Offer(type="offer", sdp="v=2", agentId="echo", resumeToken=TOKEN.replace("s1", "s2"))
    assert error_codes(machine.handle(other, 0.0)) == ["resume_refused"]
    assert machine.state is State.ESTABLISHED


def test_the_client_has_connected_elsewhere() -> None:
    for reason in ("replaced", "moved"):
        machine = machine_in(State.ESTABLISHED)
        assert machine.handle(heard(SessionClosed(session="s1", reason=reason)), 0.0) == [CloseSocket(1000, reason)]


def test_a_transcript_that_was_lost_between_media_worker_and_gateway_is_read_again() -> None:
    machine = machine_in(State.ESTABLISHED)
    assert machine.handle(heard(event(1)), 1.0) == missed(1)
    assert [machine.handle(MessagesLost(worker), 2.0) for worker in ("m9", "m1")] == [[], [ReadEvents("s1")]]
    assert machine.handle(heard(event(4)), 2.1) == []
    assert machine.handle(EventsRead(EVENTS), 2.2) == missed(2, 3, 4)
