"""Signaling machines in each of their states, and the inputs that lead there."""

from collections.abc import Sequence

from gateway.core.client_messages import Bye, IceCandidate, Offer
from gateway.core.signaling import SignalingMachine, SignalingRules, State
from gateway.core.signaling_events import (
    Action,
    CloseSocket,
    Input,
    Placed,
    Release,
    SendToClient,
    SendToWorker,
    SocketClosed,
)
from shared.events import CloseSession, OfferAnswered

RULES = SignalingRules(
    gateway="g1",
    agents=frozenset({"front-desk", "echo", "hidden"}),
    listed_agents=["echo", "front-desk"],
    ice_servers=lambda _: [{"urls": "stun:192.0.2.1"}],
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
