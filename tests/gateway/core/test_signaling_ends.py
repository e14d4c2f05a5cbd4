"""Deadlines, departures and drains."""

from collections.abc import Sequence

import pytest

from gateway.core.signaling import SignalingMachine, State
from gateway.core.signaling_events import (
    Action,
    BadMessage,
    ClientTooSlow,
    CloseSocket,
    DeadlinePassed,
    DrainEnded,
    DrainStarted,
    Input,
    PipelineNotRequested,
    PlacementRefused,
    SendToClient,
    SendToWorker,
    SocketClosed,
)
from shared.events import CloseSession, SessionClosed
from tests.gateway.core.signaling_machines import (
    BYE,
    END,
    LIVE,
    PLACED,
    RELEASE,
    RULES,
    WITH_SESSION,
    closing,
    error_codes,
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


def test_no_answer_in_time() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    assert machine.deadline_s == 10.0
    actions = machine.handle(DeadlinePassed(), 10.0)
    assert error_codes(actions) == ["answer_timeout"]
    assert SendToWorker("m1", CloseSession(session="s1", reason="answer_timeout")) in actions
    assert RELEASE in actions
    assert closing(actions) == CloseSocket(1013, "answer_timeout")


def test_an_established_session_has_no_deadline() -> None:
    machine = machine_in(State.ESTABLISHED)
    assert machine.deadline_s is None
    assert machine.handle(DeadlinePassed(), 1e9) == []


def test_the_job_cannot_be_written() -> None:
    machine = machine_in(State.ESTABLISHED)
    actions = machine.handle(PipelineNotRequested("broker away"), 0.0)
    assert error_codes(actions) == ["broker_unavailable"]
    assert SendToWorker("m1", CloseSession(session="s1", reason="broker_unavailable")) in actions
    assert closing(actions).code == 1013


@pytest.mark.parametrize("state", WITH_SESSION)
@pytest.mark.parametrize(
    ("reason", "code"), [("hangup", 1000), ("agent_hangup", 1000), ("not_connected", 1011), ("worker_stopped", 1011)]
)
def test_the_media_worker_ends_the_session(state: State, reason: str, code: int) -> None:
    machine = machine_in(state)
    assert closing(machine.handle(SessionClosed(session="s1", reason=reason), 0.0)) == CloseSocket(code, reason)


@pytest.mark.parametrize("state", WITH_SESSION)
def test_the_client_goes(state: State) -> None:
    machine = machine_in(state)
    released = [RELEASE] if state is State.WAITING_FOR_ANSWER else []
    assert machine.handle(SocketClosed(), 0.0) == [END, *released]


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
def test_a_client_that_does_not_read(state: State) -> None:
    actions = machine_in(state).handle(ClientTooSlow(), 0.0)
    assert actions[0] == SendToWorker("m1", CloseSession(session="s1", reason="too_slow"))
    assert closing(actions) == CloseSocket(1008, "too_slow")


def test_a_drain_closes_idle_clients_and_warns_those_in_a_call() -> None:
    goaway = SendToClient({"type": "goaway", "timeLeftMs": 4000})
    idle = machine_in(State.WAITING_FOR_OFFER)
    assert idle.handle(DrainStarted(4000), 0.0) == [goaway, CloseSocket(1001, "goaway")]
    for state in (State.PLACING, *WITH_SESSION):
        machine = machine_in(state)
        assert machine.handle(DrainStarted(4000), 0.0) == [goaway]
        assert machine.state is state


@pytest.mark.parametrize("state", WITH_SESSION)
def test_the_end_of_a_drain(state: State) -> None:
    actions = machine_in(state).handle(DrainEnded(), 0.0)
    assert actions[0] == SendToWorker("m1", CloseSession(session="s1", reason="goaway"))
    assert closing(actions) == CloseSocket(1001, "goaway")


@pytest.mark.parametrize("state", LIVE)
def test_a_client_that_sends_nothing_but_nonsense_is_cut_off(state: State) -> None:
    machine = machine_in(state)
    for _ in range(RULES.max_errors):
        assert error_codes(machine.handle(BadMessage("bad_json", "no"), 0.0)) == ["bad_json"]
    actions = machine.handle(BadMessage("bad_json", "no"), 0.0)
    assert error_codes(actions) == ["bad_json", "too_many_errors"]
    assert closing(actions) == CloseSocket(1008, "too_many_errors")
    assert machine.state is (State.ABANDONING if state is State.PLACING else State.CLOSED)
    if state is State.PLACING:
        assert machine.handle(PLACED, 0.0) == [RELEASE]
