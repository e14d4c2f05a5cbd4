"""Rules that hold in every state."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import client_messages, endings, offers, resumption
from gateway.core.client_messages import Offer, UnknownMessage
from gateway.core.connection import State
from gateway.core.session_record import StoredEvent
from gateway.core.signaling import _TABLE, IllegalInput, SignalingMachine
from gateway.core.signaling_events import (
    BadMessage,
    ClientTooSlow,
    CloseSocket,
    DeadlinePassed,
    DrainEnded,
    DrainStarted,
    EventsRead,
    Heard,
    Input,
    LookupFailed,
    MediaWorkerBack,
    MediaWorkerLost,
    MessagesLost,
    Placed,
    PlacementRefused,
    Release,
    SendToClient,
    SendToWorker,
    SessionFound,
    SessionUnknown,
    SocketClosed,
)
from shared.errors import BrokerError, OfferError, RefusedError
from shared.events import ClientEventSent, OfferAnswered, OfferRefused, OpenSession, SessionClosed, client_event
from tests.gateway.core.signaling_machines import (
    BYE,
    CANDIDATE,
    FOUND,
    LAST_CANDIDATE,
    LATER_OFFER,
    LIVE,
    MOVING_OFFER,
    OFFER,
    PLACED,
    RECORD,
    RESUME,
    RULES,
    error_codes,
    machine_in,
)


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


REFUSED = PlacementRefused("no_capacity", "full")
LOOKED_UP: list[Input] = [FOUND, SessionUnknown(), LookupFailed("broker_unavailable", "away")]
EXPECTED: dict[State, list[Input]] = {
    State.LOOKING_UP: LOOKED_UP,
    State.PLACING: [PLACED, REFUSED],
    State.PLACING_AGAIN: [PLACED, REFUSED],
    State.ABANDONING: [PLACED, REFUSED, *LOOKED_UP],
}
"""The answers to our own questions that each state waits for."""


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", [PLACED, REFUSED, *LOOKED_UP])
def test_an_answer_that_was_not_asked_for_raises_and_changes_nothing(state: State, event: Input) -> None:
    machine = machine_in(state)
    if event in EXPECTED.get(state, []):
        machine.handle(event, 0.0)
        return
    deadline_s = machine.deadline_s
    with pytest.raises(IllegalInput):
        machine.handle(event, 0.0)
    assert (machine.state, machine.deadline_s) == (state, deadline_s)


def test_every_state_has_a_row_and_closed_has_no_way_out() -> None:
    assert set(_TABLE) == set(State)
    assert _TABLE[State.CLOSED] == {}


@pytest.mark.parametrize(
    "state", [State.WAITING_FOR_OFFER, State.WAITING_FOR_ANSWER, State.RENEGOTIATING, State.MEDIA_LOST]
)
def test_every_wait_for_somebody_else_has_a_deadline(state: State) -> None:
    machine = machine_in(state)
    assert machine.deadline_s is not None
    machine.handle(DeadlinePassed(), machine.deadline_s)
    assert machine.state is not state


def test_every_code_is_in_the_protocols_document() -> None:
    root = Path(__file__).resolve().parents[3]
    protocol = (root / "docs" / "protocol.md").read_text()
    codes = {BrokerError.code, OfferError.code, RefusedError.code}
    for module in (client_messages, endings, offers, resumption):
        source = Path(str(module.__file__)).read_text()
        codes |= set(re.findall(r'(?:code=|reject\(|error\(|Refused\(|CloseSocket\([A-Z_]+, )"(\w+)"', source))
    assert len(codes) > 15
    assert [code for code in sorted(codes) if f"`{code}`" not in protocol] == []


refusal_codes = st.sampled_from(["bad_sdp", "no_capacity", "draining", "internal"])
numbers = st.integers(0, 3)
sessions = st.sampled_from(["s0", "s1", "s2"])
workers = st.sampled_from(["m1", "m2"])
messages: st.SearchStrategy[Any] = st.one_of(
    st.builds(OfferAnswered, session=sessions, sdp=st.just("a=0"), offer_number=numbers),
    st.builds(
        OfferRefused,
        session=sessions,
        code=refusal_codes,
        message=st.just("no"),
        final=st.booleans(),
        offer_number=numbers,
    ),
    st.builds(
        ClientEventSent, session=sessions, event=st.builds(client_event, st.just("status"), numbers, st.just({}))
    ),
    st.builds(SessionClosed, session=sessions, reason=st.sampled_from(["hangup", "moved", "worker_stopped"])),
)
events = st.lists(st.builds(StoredEvent, numbers, st.builds(client_event, st.just("status"), numbers, st.just({}))))
inputs: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([OFFER, LATER_OFFER, MOVING_OFFER, RESUME, CANDIDATE, LAST_CANDIDATE]),
    st.sampled_from([BYE, SocketClosed(), ClientTooSlow(), DeadlinePassed(), DrainStarted(1000), DrainEnded()]),
    st.sampled_from([BadMessage("bad_json", "no"), UnknownMessage("x"), REFUSED, *LOOKED_UP]),
    st.builds(SessionFound, st.sampled_from([RECORD, RECORD.model_copy(update={"resume_tokens": ()})]), events),
    st.builds(EventsRead, events),
    st.builds(Heard, workers, messages),
    st.builds(MediaWorkerLost, workers),
    st.builds(MediaWorkerBack, workers),
    st.builds(MessagesLost, workers),
    st.builds(Placed, sessions, workers),
)


@settings(max_examples=500)
@given(st.lists(st.tuples(inputs, st.floats(0, 20)), max_size=40))
def test_any_inputs_in_any_order(events: list[tuple[Input, float]]) -> None:
    machine = SignalingMachine(RULES, 0.0)
    now_s = 0.0
    offers_owed = reserved = closes = 0
    for event, later_s in events:
        now_s += later_s
        before = machine.state
        try:
            actions = machine.handle(event, now_s)
        except IllegalInput:
            assert isinstance(event, Placed | PlacementRefused | SessionFound | SessionUnknown | LookupFailed)
            assert machine.state is before
            continue
        if before is State.CLOSED:
            assert actions == []
        if isinstance(event, Placed):
            reserved += 1
        if isinstance(event, Offer) and machine.state is not before:
            offers_owed = 1
        for action in actions:
            match action:
                case SendToClient({"type": "answer"}):
                    offers_owed -= 1
                    assert offers_owed == 0, "two answers to one offer"
                case SendToClient({"type": "session"}):
                    reserved -= 1
                case SendToWorker(_, OpenSession()):
                    assert reserved == 1, "two media workers have the offer"
                case Release():
                    reserved -= 1
                    assert reserved >= 0, "a slot was given away twice"
                case CloseSocket():
                    closes += 1
        assert closes <= 1
        assert machine.deadline_s is None or machine.state not in (State.ABANDONING, State.CLOSED)
    if machine.state in (State.CLOSED, State.WAITING_FOR_OFFER, State.ESTABLISHED, State.MEDIA_LOST):
        assert reserved == 0, "every reserved slot was used or given back"
