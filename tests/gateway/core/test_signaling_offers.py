"""Offers, their placement, and their candidates."""

import pytest

from gateway.core.client_messages import Offer
from gateway.core.connection import State
from gateway.core.signaling import SignalingMachine
from gateway.core.signaling_events import (
    CloseSocket,
    DeadlinePassed,
    Input,
    Place,
    SendToClient,
    SendToWorker,
    Watch,
)
from shared.events import ClientEventSent, CloseSession, OfferAnswered, OfferRefused, OpenSession, UpdateOffer
from tests.gateway.core.signaling_machines import (
    ANSWERED,
    BYE,
    CANDIDATE,
    END,
    LAST_CANDIDATE,
    LATER_OFFER,
    OFFER,
    PLACED,
    RELEASE,
    RULES,
    SHOWN,
    TOKEN,
    WITH_OFFER,
    closing,
    error_codes,
    heard,
    machine_in,
)


def test_a_call_from_offer_to_bye() -> None:
    machine = SignalingMachine(RULES, 0.0)
    assert machine.handle(OFFER, 1.0) == [Place("echo", "default")]
    [sent] = machine.handle(PLACED, 1.1)
    assert sent == SendToWorker(
        "m1",
        OpenSession(
            session="s1",
            gateway="g1",
            agent_id="echo",
            sdp="v=0",
            created_ms=1_000_000,
            max_duration_s=3600,
            resume_tokens=SHOWN.record(),
        ),
    )
    session = {"type": "session", "sessionId": "s1", "resumeToken": TOKEN, "expiresAt": 4_600_000}
    assert machine.handle(ANSWERED, 1.2) == [
        Watch("s1", "m1"),
        SendToClient({**session, "iceServers": [{"urls": "stun:192.0.2.1"}]}),
        SendToClient({"type": "answer", "sdp": "a=0"}),
    ]
    event = {"type": "status", "status": "listening", "seq": 1, "data": {"status": "listening"}}
    assert machine.handle(heard(ClientEventSent(session="s1", event=event)), 2.0) == [SendToClient(event)]
    assert machine.handle(BYE, 3.0) == [END, CloseSocket(1000, "bye")]
    assert machine.state is State.CLOSED


def test_an_unknown_agent_is_answered_with_those_that_are_listed() -> None:
    machine = machine_in(State.WAITING_FOR_OFFER)
    [action] = machine.handle(Offer(type="offer", sdp="v=0", agentId="nobody"), 0.0)
    assert action == SendToClient(
        {"type": "error", "code": "unknown_agent", "message": "no agent 'nobody'; known agents: echo, front-desk"}
    )
    assert machine.state is State.WAITING_FOR_OFFER


def test_an_unknown_agent_where_listing_is_not_allowed() -> None:
    machine = machine_in(State.WAITING_FOR_OFFER, RULES._replace(listed_agents=[]))
    [action] = machine.handle(Offer(type="offer", sdp="v=0", agentId="nobody"), 0.0)
    assert action == SendToClient({"type": "error", "code": "unknown_agent", "message": "no agent 'nobody'"})


def test_an_unlisted_agent_can_be_called() -> None:
    machine = machine_in(State.WAITING_FOR_OFFER)
    assert machine.handle(Offer(type="offer", sdp="v=0", agentId="hidden"), 0.0) == [Place("hidden", "default")]


def test_a_candidate_before_the_offer() -> None:
    machine = machine_in(State.WAITING_FOR_OFFER)
    assert error_codes(machine.handle(CANDIDATE, 0.0)) == ["candidate_before_offer"]
    assert machine.state is State.WAITING_FOR_OFFER


@pytest.mark.parametrize("state", [State.LOOKING_UP, State.PLACING, *WITH_OFFER, State.RENEGOTIATING])
def test_a_second_offer_while_the_first_is_unanswered(state: State) -> None:
    machine = machine_in(state)
    assert error_codes(machine.handle(LATER_OFFER, 0.0)) == ["offer_pending"]
    assert machine.state is state


@pytest.mark.parametrize("state", [State.PLACING, *WITH_OFFER, State.ESTABLISHED, State.RENEGOTIATING])
def test_excess_candidates_get_one_error(state: State) -> None:
    machine = machine_in(state)
    for _ in range(RULES.max_candidates):
        assert machine.handle(CANDIDATE, 0.0) == []
    assert machine.handle(LAST_CANDIDATE, 0.0) == []
    assert error_codes(machine.handle(CANDIDATE, 0.0)) == ["too_many_candidates"]
    assert machine.handle(CANDIDATE, 0.0) == []
    assert machine.state is state


def test_a_new_offer_may_bring_new_candidates() -> None:
    machine = machine_in(State.ESTABLISHED)
    for _ in range(RULES.max_candidates):
        machine.handle(CANDIDATE, 0.0)
    machine.handle(LATER_OFFER, 0.0)
    assert machine.handle(CANDIDATE, 0.0) == []


def test_after_a_bad_offer_the_client_may_try_another() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    actions = machine.handle(heard(OfferRefused(session="s1", code="bad_sdp", message="no audio")), 5.0)
    assert actions == [RELEASE, SendToClient({"type": "error", "code": "bad_sdp", "message": "no audio"})]
    assert machine.state is State.WAITING_FOR_OFFER
    assert machine.deadline_s == 15.0
    assert machine.handle(OFFER, 6.0) == [Place("echo", "default")]


def test_a_first_offer_refused_as_not_final_ends_the_session() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    actions = machine.handle(heard(OfferRefused(session="s1", code="bad_sdp", message="no", final=False)), 5.0)
    assert actions[:2] == [SendToWorker("m1", CloseSession(session="s1", reason="refused")), RELEASE]
    assert error_codes(actions) == ["bad_sdp"]


def test_a_later_offer_renegotiates() -> None:
    machine = machine_in(State.ESTABLISHED)
    assert machine.handle(LATER_OFFER, 0.0) == [
        SendToWorker("m1", UpdateOffer(session="s1", gateway="g1", sdp="v=1", offer_number=1))
    ]
    assert machine.handle(heard(OfferAnswered(session="s1", sdp="a=1", offer_number=1)), 0.0) == [
        SendToClient({"type": "answer", "sdp": "a=1"})
    ]
    assert machine.state is State.ESTABLISHED


def test_a_later_offer_that_is_refused_changes_nothing() -> None:
    machine = machine_in(State.RENEGOTIATING)
    actions = machine.handle(heard(OfferRefused(session="s1", code="bad_sdp", message="no", final=False)), 0.0)
    assert actions == [SendToClient({"type": "error", "code": "bad_sdp", "message": "no"})]
    assert machine.state is State.ESTABLISHED


def test_a_later_offer_to_a_session_that_has_ended() -> None:
    machine = machine_in(State.RENEGOTIATING)
    actions = machine.handle(heard(OfferRefused(session="s1", code="unknown_session", message="gone")), 0.0)
    assert error_codes(actions) == ["unknown_session"]
    assert closing(actions) == CloseSocket(1011, "unknown_session")


def test_a_later_offer_that_is_not_answered_changes_nothing() -> None:
    machine = machine_in(State.RENEGOTIATING)
    assert error_codes(machine.handle(DeadlinePassed(), 10.0)) == ["answer_timeout"]
    assert machine.state is State.ESTABLISHED
    assert machine.handle(heard(OfferAnswered(session="s1", sdp="late")), 11.0) == []


@pytest.mark.parametrize(
    "late",
    [
        heard(OfferAnswered(session="s1", sdp="a=late", offer_number=1)),
        heard(OfferRefused(session="s1", code="bad_sdp", message="no", final=False, offer_number=1)),
    ],
)
def test_a_call_survives_a_second_restart_after_the_first_ones_answer_came_too_late(late: Input) -> None:
    machine = machine_in(State.RENEGOTIATING)
    machine.handle(DeadlinePassed(), 10.0)
    [sent] = machine.handle(LATER_OFFER, 11.0)
    assert sent == SendToWorker("m1", UpdateOffer(session="s1", gateway="g1", sdp="v=1", offer_number=2))
    assert machine.handle(late, 12.0) == []
    assert machine.state is State.RENEGOTIATING
    answer = OfferAnswered(session="s1", sdp="a=2", offer_number=2)
    assert machine.handle(heard(answer), 12.1) == [SendToClient({"type": "answer", "sdp": "a=2"})]


def test_an_answer_without_an_offer_number_is_accepted() -> None:
    machine = machine_in(State.RENEGOTIATING)
    answer = {"type": "answer", "sdp": "a=1"}
    assert machine.handle(heard(OfferAnswered(session="s1", sdp="a=1")), 0.0) == [SendToClient(answer)]
