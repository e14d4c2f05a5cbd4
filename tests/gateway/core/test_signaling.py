import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import client_messages, signaling
from gateway.core.client_messages import Bye, IceCandidate, Offer, UnknownMessage
from gateway.core.signaling import _TABLE, IllegalInput, SignalingMachine, SignalingRules, State
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
    Place,
    Placed,
    PlacementRefused,
    Release,
    RequestPipeline,
    SendToClient,
    SendToWorker,
    SocketClosed,
)
from shared.errors import BrokerError, OfferError, RefusedError
from shared.events import (
    ClientEventSent,
    CloseSession,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    SessionClosed,
    UpdateOffer,
)

RULES = SignalingRules(
    gateway="g1",
    agents=frozenset({"front-desk", "echo", "hidden"}),
    listed_agents=["echo", "front-desk"],
    ice_servers=[{"urls": "stun:192.0.2.1"}],
    max_candidates=3,
    max_errors=5,
)
OFFER = Offer(type="offer", sdp="v=0", agentId="echo")
LATER_OFFER = Offer(type="offer", sdp="v=1", agentId="echo")
CANDIDATE = IceCandidate(type="ice-candidate", candidate="candidate:1")
LAST_CANDIDATE = IceCandidate(type="ice-candidate", candidate=None)
BYE = Bye(type="bye")
PLACED = Placed("s1", "m1")
ANSWERED = OfferAnswered(session="s1", sdp="a=0")
END = SendToWorker("m1", CloseSession(session="s1", reason="hangup"))
RELEASE = Release("s1", "m1", "echo")

PATHS: dict[State, Sequence[Input]] = {
    State.WAITING_FOR_OFFER: [],
    State.PLACING: [OFFER],
    State.WAITING_FOR_ANSWER: [OFFER, PLACED],
    State.ESTABLISHED: [OFFER, PLACED, ANSWERED],
    State.RENEGOTIATING: [OFFER, PLACED, ANSWERED, LATER_OFFER],
    State.ABANDONING: [OFFER, SocketClosed()],
    State.CLOSED: [SocketClosed()],
}
LIVE = [State.WAITING_FOR_OFFER, State.PLACING, State.WAITING_FOR_ANSWER, State.ESTABLISHED, State.RENEGOTIATING]
WITH_SESSION = [State.WAITING_FOR_ANSWER, State.ESTABLISHED, State.RENEGOTIATING]


def machine_in(state: State, rules: SignalingRules = RULES) -> SignalingMachine:
    machine = SignalingMachine(rules, 0.0)
    for event in PATHS[state]:
        machine.handle(event, 0.0)
    assert machine.state is state
    return machine


def error_codes(actions: Sequence[Action]) -> list[str]:
    sent = [action.message for action in actions if isinstance(action, SendToClient)]
    return [message["code"] for message in sent if message["type"] == "error"]


def closing(actions: Sequence[Action]) -> CloseSocket:
    assert isinstance(actions[-1], CloseSocket)
    return actions[-1]


def test_a_call_from_offer_to_bye() -> None:
    machine = SignalingMachine(RULES, 0.0)
    assert machine.handle(OFFER, 1.0) == [Place("echo", frozenset())]
    assert machine.handle(PLACED, 1.1) == [
        SendToWorker("m1", OpenSession(session="s1", gateway="g1", agent_id="echo", sdp="v=0"))
    ]
    assert machine.handle(ANSWERED, 1.2) == [
        RequestPipeline("s1", "echo", "m1"),
        SendToClient({"type": "session", "sessionId": "s1", "iceServers": [{"urls": "stun:192.0.2.1"}]}),
        SendToClient({"type": "answer", "sdp": "a=0"}),
    ]
    event = {"type": "status", "status": "listening", "seq": 1, "data": {"status": "listening"}}
    assert machine.handle(ClientEventSent(session="s1", event=event), 2.0) == [SendToClient(event)]
    assert machine.handle(BYE, 3.0) == [END, CloseSocket(1000, "bye")]
    assert machine.state is State.CLOSED


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


def test_an_unknown_agent_is_answered_with_those_that_are_listed() -> None:
    machine = machine_in(State.WAITING_FOR_OFFER)
    [action] = machine.handle(Offer(type="offer", sdp="v=0", agentId="nobody"), 0.0)
    assert action == SendToClient(
        {"type": "error", "code": "unknown_agent", "message": "no agent 'nobody'; there are: echo, front-desk"}
    )
    assert machine.state is State.WAITING_FOR_OFFER


def test_an_unknown_agent_where_listing_is_not_allowed() -> None:
    machine = machine_in(State.WAITING_FOR_OFFER, RULES._replace(listed_agents=[]))
    [action] = machine.handle(Offer(type="offer", sdp="v=0", agentId="nobody"), 0.0)
    assert action == SendToClient({"type": "error", "code": "unknown_agent", "message": "no agent 'nobody'"})


def test_an_unlisted_agent_can_be_called() -> None:
    machine = machine_in(State.WAITING_FOR_OFFER)
    assert machine.handle(Offer(type="offer", sdp="v=0", agentId="hidden"), 0.0) == [Place("hidden", frozenset())]


def test_a_candidate_before_the_offer() -> None:
    machine = machine_in(State.WAITING_FOR_OFFER)
    assert error_codes(machine.handle(CANDIDATE, 0.0)) == ["candidate_before_offer"]
    assert machine.state is State.WAITING_FOR_OFFER


@pytest.mark.parametrize("state", [State.PLACING, State.WAITING_FOR_ANSWER, State.RENEGOTIATING])
def test_a_second_offer_while_the_first_is_unanswered(state: State) -> None:
    machine = machine_in(state)
    assert error_codes(machine.handle(LATER_OFFER, 0.0)) == ["offer_pending"]
    assert machine.state is state


@pytest.mark.parametrize("state", [State.PLACING, *WITH_SESSION])
def test_candidates_are_taken_up_to_their_number_and_complained_about_once(state: State) -> None:
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


def test_nobody_has_room() -> None:
    machine = machine_in(State.PLACING)
    assert machine.handle(PlacementRefused("no_capacity", "full", 5000), 0.0) == [
        SendToClient({"type": "error", "code": "no_capacity", "message": "full", "retryAfterMs": 5000}),
        CloseSocket(1013, "no_capacity"),
    ]


def test_a_worker_without_room_is_avoided_up_to_three_placements() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    full = {"code": "no_capacity", "message": "full", "retry_after_ms": 700}
    assert machine.handle(OfferRefused(session="s1", **full), 0.0) == [RELEASE, Place("echo", frozenset({"m1"}))]
    machine.handle(Placed("s2", "m2"), 0.0)
    assert machine.handle(OfferRefused(session="s2", **full), 0.0) == [
        Release("s2", "m2", "echo"),
        Place("echo", frozenset({"m1", "m2"})),
    ]
    machine.handle(Placed("s3", "m3"), 0.0)
    assert machine.handle(OfferRefused(session="s3", **full), 0.0) == [
        Release("s3", "m3", "echo"),
        SendToClient({"type": "error", "code": "no_capacity", "message": "full", "retryAfterMs": 700}),
        CloseSocket(1013, "no_capacity"),
    ]


def test_news_of_a_session_that_was_placed_elsewhere_since() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    machine.handle(OfferRefused(session="s1", code="no_capacity", message="full"), 0.0)
    machine.handle(Placed("s2", "m2"), 0.0)
    assert machine.handle(SessionClosed(session="s1"), 0.0) == []
    assert machine.handle(ANSWERED, 0.0) == []
    assert machine.state is State.WAITING_FOR_ANSWER


def test_after_a_bad_offer_the_client_may_try_another() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    actions = machine.handle(OfferRefused(session="s1", code="bad_sdp", message="no audio"), 5.0)
    assert actions == [RELEASE, SendToClient({"type": "error", "code": "bad_sdp", "message": "no audio"})]
    assert machine.state is State.WAITING_FOR_OFFER
    assert machine.deadline_s == 15.0
    assert machine.handle(OFFER, 6.0) == [Place("echo", frozenset())]


def test_a_first_offer_refused_though_the_session_lives_ends_that_session() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    actions = machine.handle(OfferRefused(session="s1", code="bad_sdp", message="no", final=False), 5.0)
    assert actions[:2] == [SendToWorker("m1", CloseSession(session="s1", reason="refused")), RELEASE]
    assert error_codes(actions) == ["bad_sdp"]


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


def test_a_later_offer_renegotiates() -> None:
    machine = machine_in(State.ESTABLISHED)
    assert machine.handle(LATER_OFFER, 0.0) == [
        SendToWorker("m1", UpdateOffer(session="s1", gateway="g1", sdp="v=1", offer_number=1)),
    ]
    assert machine.handle(OfferAnswered(session="s1", sdp="a=1", offer_number=1), 0.0) == [
        SendToClient({"type": "answer", "sdp": "a=1"})
    ]
    assert machine.state is State.ESTABLISHED


def test_a_later_offer_that_is_refused_changes_nothing() -> None:
    machine = machine_in(State.RENEGOTIATING)
    actions = machine.handle(OfferRefused(session="s1", code="bad_sdp", message="no", final=False), 0.0)
    assert actions == [SendToClient({"type": "error", "code": "bad_sdp", "message": "no"})]
    assert machine.state is State.ESTABLISHED


def test_a_later_offer_to_a_session_that_is_no_more() -> None:
    machine = machine_in(State.RENEGOTIATING)
    actions = machine.handle(OfferRefused(session="s1", code="unknown_session", message="gone"), 0.0)
    assert error_codes(actions) == ["unknown_session"]
    assert closing(actions) == CloseSocket(1011, "unknown_session")


def test_a_later_offer_that_is_not_answered_changes_nothing() -> None:
    machine = machine_in(State.RENEGOTIATING)
    assert error_codes(machine.handle(DeadlinePassed(), 10.0)) == ["answer_timeout"]
    assert machine.state is State.ESTABLISHED
    assert machine.handle(OfferAnswered(session="s1", sdp="late"), 11.0) == []


@pytest.mark.parametrize(
    "late",
    [
        OfferAnswered(session="s1", sdp="a=late", offer_number=1),
        OfferRefused(session="s1", code="bad_sdp", message="no", final=False, offer_number=1),
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
    assert machine.handle(answer, 12.1) == [SendToClient({"type": "answer", "sdp": "a=2"})]


def test_a_media_worker_from_before_offers_had_numbers_is_understood() -> None:
    machine = machine_in(State.RENEGOTIATING)
    answer = {"type": "answer", "sdp": "a=1"}
    assert machine.handle(OfferAnswered(session="s1", sdp="a=1"), 0.0) == [SendToClient(answer)]


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


def test_a_drain_ends_who_has_no_call_and_warns_who_has() -> None:
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
@pytest.mark.parametrize("code", ["bad_json", "bad_message", "message_too_large", "sdp_too_large"])
def test_a_malformed_message_changes_nothing(state: State, code: str) -> None:
    machine = machine_in(state)
    assert error_codes(machine.handle(BadMessage(code, "no"), 0.0)) == [code]
    assert machine.state is state


@pytest.mark.parametrize("state", LIVE)
def test_an_unknown_message_is_ignored(state: State) -> None:
    machine = machine_in(state)
    assert machine.handle(UnknownMessage("hologram"), 0.0) == []
    assert machine.state is state


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


@pytest.mark.parametrize("state", [s for s in State if s not in (State.PLACING, State.ABANDONING)])
@pytest.mark.parametrize("event", [PLACED, PlacementRefused("no_capacity", "full")])
def test_a_placement_that_nobody_asked_for_is_our_mistake(state: State, event: Input) -> None:
    machine = machine_in(state)
    with pytest.raises(IllegalInput):
        machine.handle(event, 0.0)
    assert machine.state is state


def test_every_state_has_a_row_and_closed_has_no_way_out() -> None:
    assert set(_TABLE) == set(State)
    assert _TABLE[State.CLOSED] == {}


def test_every_code_is_in_the_protocols_document() -> None:
    root = Path(__file__).resolve().parents[3]
    protocol = (root / "docs" / "protocol.md").read_text()
    codes = {BrokerError.code, OfferError.code, RefusedError.code}
    for module in (client_messages, signaling):
        source = Path(str(module.__file__)).read_text()
        codes |= set(re.findall(r'(?:code=|_reject\(|_error\(|CloseSocket\([A-Z_]+, )"(\w+)"', source))
    assert len(codes) > 12
    assert [code for code in sorted(codes) if f"`{code}`" not in protocol] == []


refusal_codes = st.sampled_from(["bad_sdp", "no_capacity", "draining", "internal"])
numbers = st.integers(0, 3)
sessions = st.sampled_from(["s0", "s1", "s2", "s3"])
inputs: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([OFFER, LATER_OFFER, CANDIDATE, LAST_CANDIDATE, BYE, SocketClosed(), ClientTooSlow()]),
    st.sampled_from([DeadlinePassed(), DrainStarted(1000), DrainEnded(), PipelineNotRequested("away")]),
    st.sampled_from([BadMessage("bad_json", "no"), UnknownMessage("x"), PlacementRefused("no_capacity", "full")]),
    st.builds(OfferAnswered, session=sessions, sdp=st.just("a"), offer_number=numbers),
    st.builds(
        OfferRefused,
        session=sessions,
        code=refusal_codes,
        message=st.just("no"),
        final=st.booleans(),
        offer_number=numbers,
    ),
    st.builds(ClientEventSent, session=sessions, event=st.just({"type": "status", "status": "listening"})),
    st.builds(SessionClosed, session=sessions, reason=st.sampled_from(["hangup", "worker_stopped"])),
    st.builds(Placed, sessions, st.sampled_from(["m1", "m2"])),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(inputs, st.floats(0, 20)), max_size=40))
def test_any_inputs_in_any_order(events: list[tuple[Input, float]]) -> None:
    machine = SignalingMachine(RULES, 0.0)
    now_s = 0.0
    offers_owed = reserved = opened = closes = 0
    for event, later_s in events:
        now_s += later_s
        before = machine.state
        try:
            actions = machine.handle(event, now_s)
        except IllegalInput:
            assert isinstance(event, Placed | PlacementRefused)
            assert machine.state is before
            continue
        if before is State.CLOSED:
            assert actions == []
        if isinstance(event, Placed):
            reserved += 1
        if isinstance(event, Offer) and before in (State.WAITING_FOR_OFFER, State.ESTABLISHED):
            offers_owed = 1
        for action in actions:
            match action:
                case SendToClient({"type": "answer"}):
                    offers_owed -= 1
                    assert offers_owed == 0, "two answers to one offer"
                case SendToWorker(_, OpenSession()):
                    opened += 1
                case RequestPipeline() | Release():
                    reserved -= 1
                    assert reserved >= 0, "a slot was given away twice"
                case CloseSocket():
                    closes += 1
        assert closes <= 1
    if machine.state in (State.CLOSED, State.WAITING_FOR_OFFER, State.ESTABLISHED):
        assert reserved == 0, "every reserved slot was used or given back"
