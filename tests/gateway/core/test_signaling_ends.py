"""Deadlines, departures and drains."""

from collections.abc import Sequence

import pytest

from gateway.core.connection import State
from gateway.core.signaling import SignalingMachine
from gateway.core.signaling_events import (
    Action,
    BadMessage,
    ClientTooSlow,
    CloseSocket,
    DeadlinePassed,
    DrainEnded,
    DrainStarted,
    Input,
    MediaWorkerLost,
    Placed,
    PlacementRefused,
    SendToClient,
    SendToWorker,
    SessionUnknown,
    SocketClosed,
)
from shared.events import CloseSession, OfferAnswered, SessionClosed
from tests.gateway.core.signaling_machines import (
    BYE,
    DETACH,
    END,
    FINDING_OUT,
    FOUND,
    LIVE,
    MOVING_OFFER,
    PLACED,
    RELEASE,
    RESUME,
    RULES,
    WITH_OFFER,
    WITH_SESSION,
    closing,
    error_codes,
    heard,
    machine_after,
    machine_in,
)


def test_no_offer_in_time() -> None:
    machine = SignalingMachine(RULES, 100.0)
    assert machine.deadline_s == 110.0
    assert machine.handle(DeadlinePassed(), 109.9) == []
    actions = machine.handle(DeadlinePassed(), 110.0)
    assert error_codes(actions) == ["offer_timeout"]
    assert closing(actions) == CloseSocket(1008, "offer_timeout")


def test_bad_messages_do_not_move_the_deadline() -> None:
    machine = SignalingMachine(RULES, 0.0)
    machine.handle(BadMessage("bad_json", "not JSON"), 9.0)
    assert machine.deadline_s == 10.0


def test_no_worker_has_room() -> None:
    machine = machine_in(State.PLACING)
    assert machine.handle(PlacementRefused("no_capacity", "full", 5000), 0.0) == [
        SendToClient({"type": "error", "code": "no_capacity", "message": "full", "retryAfterMs": 5000}),
        CloseSocket(1013, "no_capacity"),
    ]


def test_an_established_session_has_no_deadline() -> None:
    machine = machine_in(State.ESTABLISHED)
    assert machine.deadline_s is None
    assert machine.handle(DeadlinePassed(), 1e9) == []


@pytest.mark.parametrize("state", [*WITH_OFFER, *WITH_SESSION])
@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("hangup", 1000),
        ("agent_hangup", 1000),
        ("ended_by_operator", 1000),
        ("not_connected", 1011),
        ("worker_stopped", 1011),
    ],
)
def test_the_media_worker_ends_the_session(state: State, reason: str, code: int) -> None:
    machine = machine_in(state)
    actions = machine.handle(heard(SessionClosed(session="s1", reason=reason)), 0.0)
    assert closing(actions) == CloseSocket(code, reason)
    assert (RELEASE in actions) is (state in WITH_OFFER)


@pytest.mark.parametrize("state", WITH_SESSION)
def test_a_call_goes_on_when_only_its_websocket_is_lost(state: State) -> None:
    machine = machine_in(state)
    assert machine.handle(SocketClosed(), 0.0) == [DETACH]
    assert machine.state is State.CLOSED


@pytest.mark.parametrize("state", WITH_OFFER)
def test_a_client_that_leaves_before_its_answer_has_no_session(state: State) -> None:
    assert machine_in(state).handle(SocketClosed(), 0.0) == [END, RELEASE]


@pytest.mark.parametrize("state", [*WITH_OFFER, *WITH_SESSION])
def test_a_client_that_says_goodbye_ends_its_session(state: State) -> None:
    actions = machine_in(state).handle(BYE, 0.0)
    assert actions == [END, *([RELEASE] if state in WITH_OFFER else []), CloseSocket(1000, "bye")]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (SocketClosed(), []),
        (BYE, [CloseSocket(1000, "bye")]),
        (DrainEnded(), [CloseSocket(1001, "goaway")]),
        (ClientTooSlow(), [CloseSocket(1008, "too_slow")]),
    ],
)
def test_the_client_goes_while_its_offer_is_being_placed(event: Input, said: Sequence[Action]) -> None:
    machine = machine_in(State.PLACING)
    assert machine.handle(event, 0.0) == said
    assert machine.handle(PLACED, 0.0) == [RELEASE]
    assert machine.state is State.CLOSED


def test_the_client_goes_and_there_was_no_room_anyway() -> None:
    machine = machine_in(State.ABANDONING)
    assert machine.handle(PlacementRefused("no_capacity", "full"), 0.0) == []
    assert machine.state is State.CLOSED


@pytest.mark.parametrize("state", WITH_SESSION)
def test_a_client_that_does_not_read_its_websocket_keeps_its_call(state: State) -> None:
    assert machine_in(state).handle(ClientTooSlow(), 0.0) == [DETACH, CloseSocket(1008, "too_slow")]


def test_a_drain_closes_idle_clients_and_warns_the_others() -> None:
    goaway = SendToClient({"type": "goaway", "timeLeftMs": 4000, "scope": "signaling", "reason": "draining"})
    idle = machine_in(State.WAITING_FOR_OFFER)
    assert idle.handle(DrainStarted(4000), 0.0) == [goaway, CloseSocket(1001, "goaway")]
    for state in LIVE:
        if state is not State.WAITING_FOR_OFFER:
            machine = machine_in(state)
            assert machine.handle(DrainStarted(4000), 0.0) == [goaway]
            assert machine.state is state


@pytest.mark.parametrize("state", WITH_SESSION)
def test_calls_go_on_when_their_gateway_stops(state: State) -> None:
    assert machine_in(state).handle(DrainEnded(), 0.0) == [DETACH, CloseSocket(1001, "goaway")]


@pytest.mark.parametrize("state", WITH_OFFER)
def test_a_session_that_is_not_established_ends_with_its_gateway(state: State) -> None:
    ended = SendToWorker("m1", CloseSession(session="s1", reason="goaway"))
    assert machine_in(state).handle(DrainEnded(), 0.0) == [ended, RELEASE, CloseSocket(1001, "goaway")]


@pytest.mark.parametrize("state", LIVE)
def test_a_client_that_sends_nothing_but_nonsense_is_cut_off(state: State) -> None:
    machine = machine_in(state)
    for _ in range(RULES.max_errors):
        assert error_codes(machine.handle(BadMessage("bad_json", "no"), 0.0)) == ["bad_json"]
    actions = machine.handle(BadMessage("bad_json", "no"), 0.0)
    assert error_codes(actions) == ["bad_json", "too_many_errors"]
    assert closing(actions) == CloseSocket(1008, "too_many_errors")
    assert machine.state is (State.ABANDONING if state in FINDING_OUT else State.CLOSED)
    if state is State.PLACING:
        assert machine.handle(PLACED, 0.0) == [RELEASE]


def test_a_session_that_did_not_move_ends_when_its_only_peer_connection_never_connected() -> None:
    """The session before it on the same connection had moved."""
    answered = heard(OfferAnswered(session="s1", sdp="a=2"), "m2")
    machine = machine_after(MOVING_OFFER, FOUND, Placed("s1", "m2"), answered, state=State.ESTABLISHED)
    machine.handle(MediaWorkerLost("m2"), 1.0)
    machine.handle(MOVING_OFFER, 2.0)
    machine.handle(SessionUnknown(), 2.0)
    machine.handle(RESUME, 3.0)
    machine.handle(FOUND, 3.0)
    actions = machine.handle(heard(SessionClosed(session="s1", reason="connect_timeout")), 4.0)
    assert actions == [CloseSocket(1011, "connect_timeout")]
