"""Signaling machines in each of their states, and the inputs that lead there."""

from collections.abc import Sequence

from gateway.core.client_messages import Bye, IceCandidate, Offer, ResumeSession
from gateway.core.connection import State
from gateway.core.resume_tokens import ResumeToken
from gateway.core.session_record import SessionRecord, StoredEvent
from gateway.core.signaling import SignalingMachine
from gateway.core.signaling_events import (
    Action,
    CloseSocket,
    DeadlinePassed,
    Heard,
    Input,
    MediaWorkerLost,
    Placed,
    PlacementRefused,
    Release,
    SendToClient,
    SendToWorker,
    SessionFound,
    SocketClosed,
)
from gateway.core.signaling_rules import SignalingRules
from shared.agent import AgentDefinition
from shared.events import ClientEventSent, CloseSession, GatewayDetached, Message, OfferAnswered, client_event

SECRET = "k" * 22
RULES = SignalingRules(
    gateway="g1",
    agents={agent: AgentDefinition(id=agent, name=agent, mode="echo") for agent in ("front-desk", "echo", "hidden")},
    listed_agents=["echo", "front-desk"],
    ice_servers=lambda _: [{"urls": "stun:192.0.2.1"}],
    max_candidates=3,
    max_errors=5,
    new_secret=lambda: SECRET,
)


def heard(message: Message, media_worker: str = "m1") -> Heard:
    return Heard(media_worker, message)


OFFER = Offer(type="offer", sdp="v=0", agentId="echo")
LATER_OFFER = Offer(type="offer", sdp="v=1", agentId="echo")
CANDIDATE = IceCandidate(type="ice-candidate", candidate="candidate:1")
LAST_CANDIDATE = IceCandidate(type="ice-candidate", candidate=None)
BYE = Bye(type="bye")
PLACED = Placed("s1", "m1", created_ms=1_000_000)
ANSWERED = heard(OfferAnswered(session="s1", sdp="a=0"))
END = SendToWorker("m1", CloseSession(session="s1", reason="hangup"))
DETACH = SendToWorker("m1", GatewayDetached(session="s1", gateway="g1"))
RELEASE = Release("s1", "m1")
LOST = MediaWorkerLost("m1")

SHOWN = ResumeToken("s1", SECRET, SECRET, SECRET)
TOKEN = str(SHOWN)
"""The one that the client shows, and, with these rules, the one that it gets."""
EVENTS = [StoredEvent(number, client_event("status", number + 1, {"status": "listening"})) for number in range(4)]
RECORD = SessionRecord(
    session="s1",
    agent="echo",
    pool="gpu",
    media_worker="m1",
    gateway="g0",
    pipeline_worker="p1",
    epoch=2,
    created_ms=1_000_000,
    max_duration_s=60,
    resume_tokens=SHOWN.record(),
    api_key="website",
    counted_in=("counter",),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
FOUND = SessionFound(RECORD, EVENTS)
RESUME = ResumeSession(type="resume", resumeToken=TOKEN, lastSeq=2)
MOVING_OFFER = Offer(type="offer", sdp="v=2", agentId="echo", resumeToken=TOKEN, lastSeq=2)

PATHS: dict[State, Sequence[Input]] = {
    State.WAITING_FOR_OFFER: [],
    State.LOOKING_UP: [RESUME],
    State.PLACING: [OFFER],
    State.WAITING_FOR_ANSWER: [OFFER, PLACED],
    State.PLACING_AGAIN: [OFFER, PLACED, DeadlinePassed()],
    State.ESTABLISHED: [OFFER, PLACED, ANSWERED],
    State.RENEGOTIATING: [OFFER, PLACED, ANSWERED, LATER_OFFER],
    State.MEDIA_LOST: [OFFER, PLACED, ANSWERED, LOST],
    State.ABANDONING: [OFFER, SocketClosed()],
    State.CLOSED: [SocketClosed()],
}
LIVE = [state for state in State if state not in (State.ABANDONING, State.CLOSED)]
FINDING_OUT = [State.LOOKING_UP, State.PLACING, State.PLACING_AGAIN]
WITH_OFFER = [State.WAITING_FOR_ANSWER, State.PLACING_AGAIN]
"""A media worker has the offer and has not answered."""
WITH_SESSION = [State.ESTABLISHED, State.RENEGOTIATING, State.MEDIA_LOST]


def machine_in(state: State, rules: SignalingRules = RULES) -> SignalingMachine:
    return machine_after(*PATHS[state], rules=rules, state=state)


def machine_after(*events: Input, state: State, rules: SignalingRules = RULES) -> SignalingMachine:
    machine = SignalingMachine(rules, 0.0)
    now_s = 0.0
    for event in events:
        if isinstance(event, DeadlinePassed):
            assert machine.deadline_s is not None
            now_s = machine.deadline_s
        machine.handle(event, now_s)
    assert machine.state is state
    return machine


def error_codes(actions: Sequence[Action]) -> list[str]:
    sent = [action.message for action in actions if isinstance(action, SendToClient)]
    return [message["code"] for message in sent if message["type"] == "error"]


def sent_to_client(actions: Sequence[Action]) -> list[str]:
    """The types of the messages."""
    return [action.message["type"] for action in actions if isinstance(action, SendToClient)]


def closing(actions: Sequence[Action]) -> CloseSocket:
    assert isinstance(actions[-1], CloseSocket)
    return actions[-1]


NEXT = SHOWN._replace(own="n" * 22)
NEW_TOKEN = str(NEXT)
OTHER = ResumeToken("s1", "f" * 22, "o" * 22, "o" * 22)
GOAWAY = SendToClient({"type": "goaway", "timeLeftMs": 0, "scope": "media", "reason": "media_worker_lost"})
MOVED_TO = Placed("s1", "m2")
ANSWER_THERE = heard(OfferAnswered(session="s1", sdp="a=2"), "m2")
NO_ROOM = PlacementRefused("no_capacity", "full", 5000)
MOVING: list[Input] = [OFFER, PLACED, ANSWERED, MOVING_OFFER, FOUND]
"""The offer of a session that is established here is being placed."""


def rotating() -> SignalingMachine:
    secrets = iter([NEXT.own, "o" * 22])
    return SignalingMachine(RULES._replace(new_secret=lambda: next(secrets)), 0.0)


def event(seq: int) -> ClientEventSent:
    return ClientEventSent(session="s1", event=client_event("status", seq, {"status": "listening"}))


def missed(*seqs: int) -> list[SendToClient]:
    return [SendToClient(client_event("status", seq, {"status": "listening"})) for seq in seqs]
