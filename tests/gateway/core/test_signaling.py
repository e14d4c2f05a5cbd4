"""Rules that hold in every state."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import client_messages, signaling
from gateway.core.client_messages import Offer, UnknownMessage
from gateway.core.signaling import _TABLE, IllegalInput, SignalingMachine, State
from gateway.core.signaling_events import (
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
from shared.events import ClientEventSent, OfferAnswered, OfferRefused, OpenSession, SessionClosed
from tests.gateway.core.signaling_machines import (
    ANSWERED,
    BYE,
    CANDIDATE,
    LAST_CANDIDATE,
    LATER_OFFER,
    LIVE,
    OFFER,
    PLACED,
    RELEASE,
    RULES,
    error_codes,
    machine_in,
)


def test_a_full_worker_is_avoided_in_up_to_three_placements() -> None:
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


def test_late_messages_of_a_session_that_was_placed_elsewhere_are_ignored() -> None:
    machine = machine_in(State.WAITING_FOR_ANSWER)
    machine.handle(OfferRefused(session="s1", code="no_capacity", message="full"), 0.0)
    machine.handle(Placed("s2", "m2"), 0.0)
    assert machine.handle(SessionClosed(session="s1"), 0.0) == []
    assert machine.handle(ANSWERED, 0.0) == []
    assert machine.state is State.WAITING_FOR_ANSWER


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


@pytest.mark.parametrize("state", [s for s in State if s not in (State.PLACING, State.ABANDONING)])
@pytest.mark.parametrize("event", [PLACED, PlacementRefused("no_capacity", "full")])
def test_an_unexpected_placement_raises(state: State, event: Input) -> None:
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
