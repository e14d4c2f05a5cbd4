"""Signaling of one client, without its socket: inputs and the time go in, actions come out.

Theory of operation. A client has a deadline for its first offer. Placing the offer reserves slots and sends the offer
to a media worker, which answers or refuses. The answer establishes the session. The media worker asks for a pipeline
worker when the caller is connected, so a stranger's offer occupies none. If the media worker has no room, the offer is
placed elsewhere, up to three times in all; after any other refusal the client may send another offer.

A later offer renegotiates (an ICE restart). If it fails, the session continues under the old description. Later offers
are numbered, so that a late answer to one is not taken for the answer to the next.

Every path ends in `closed`, which accepts nothing. A client that leaves while its offer is being placed puts the
machine into `abandoning`, until it is known which slots to release.

The table lists the inputs that each state handles. Other messages of the client or a worker are late and are ignored;
other inputs of our own are bugs and raise. WHIP and an OpenAI Realtime endpoint are meant to drive this same machine.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from gateway.core.client_messages import Bye, IceCandidate, Offer
from gateway.core.signaling_events import (
    Action,
    BadMessage,
    ClientTooSlow,
    CloseSocket,
    DeadlinePassed,
    DrainEnded,
    DrainStarted,
    Input,
    Place,
    Placed,
    PlacementRefused,
    Release,
    SendToClient,
    SendToWorker,
    SocketClosed,
)
from shared.agent import AgentDefinition
from shared.errors import AntiphonError
from shared.events import (
    ClientEventSent,
    CloseSession,
    Message,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    SessionClosed,
    UpdateOffer,
)

NORMAL, GOING_AWAY, POLICY, FAILED, TRY_AGAIN_LATER = 1000, 1001, 1008, 1011, 1013
"""RFC 6455 §7.4.1 and the IANA registry of WebSocket close codes."""

_NORMAL_ENDS = frozenset({"hangup", "agent_hangup", "user_idle", "max_duration"})
_NO_ROOM = frozenset({"no_capacity", "draining"})
_MAX_PLACEMENTS = 3


class IllegalInput(AntiphonError):
    """An input of our own that the state does not allow. Nothing has changed."""

    code = "illegal_input"


class State(Enum):
    WAITING_FOR_OFFER = "waiting_for_offer"
    PLACING = "placing"
    WAITING_FOR_ANSWER = "waiting_for_answer"
    ESTABLISHED = "established"
    RENEGOTIATING = "renegotiating"
    ABANDONING = "abandoning"
    CLOSED = "closed"


class SignalingRules(NamedTuple):
    """The configuration of the machine."""

    gateway: str
    agents: Mapping[str, AgentDefinition]
    listed_agents: Sequence[str]
    ice_servers: Callable[[str], Sequence[Mapping[str, Any]]] = lambda _: ()
    """Those of a session."""
    max_candidates: int = 20
    max_errors: int = 20
    offer_timeout_s: float = 10.0
    answer_timeout_s: float = 10.0
    retry_after_ms: int = 5000


Step = tuple[State, list[Action]]


class SignalingMachine:
    """One client's signaling. `deadline_s` is when `DeadlinePassed` is due, on the clock that `handle` is given."""

    def __init__(self, rules: SignalingRules, now_s: float) -> None:
        self.state = State.WAITING_FOR_OFFER
        self.deadline_s: float | None = now_s + rules.offer_timeout_s
        self.session = ""
        self._rules = rules
        self._offer: Offer | None = None
        self._later_offers = 0
        self._placements: list[str] = []
        self._candidates = 0
        self._errors = 0

    def handle(self, event: Input, now_s: float) -> list[Action]:
        """The actions to take, in order. Raises `IllegalInput` if our own side is out of step."""
        if isinstance(event, Message) and event.session != self.session:
            return []  # a media worker had no room for that session, and the offer was placed elsewhere
        if isinstance(event, OfferAnswered | OfferRefused) and event.offer_number not in (0, self._later_offers):
            return []  # a reply to an offer that timed out; 0 is the first offer, or any offer of an older worker
        step = _TABLE[self.state].get(type(event))
        if step is None:
            if isinstance(event, Placed | PlacementRefused):
                raise IllegalInput(f"{type(event).__name__} while {self.state.value}")
            return []
        if isinstance(event, DeadlinePassed) and (self.deadline_s is None or now_s < self.deadline_s):
            return []
        state, actions = step(self, event)
        if self._errors > self._rules.max_errors and state not in (State.ABANDONING, State.CLOSED):
            self._enter(state, now_s)
            state, farewell = self._give_up()
            actions = [*actions, *farewell]
        self._enter(state, now_s)
        return actions

    def _enter(self, state: State, now_s: float) -> None:
        if state is self.state:
            return
        self.state = state
        timeout_s = self._timeout_s(state)
        self.deadline_s = None if timeout_s is None else now_s + timeout_s

    def _timeout_s(self, state: State) -> float | None:
        match state:
            case State.WAITING_FOR_OFFER:
                return self._rules.offer_timeout_s
            case State.WAITING_FOR_ANSWER | State.RENEGOTIATING:
                return self._rules.answer_timeout_s
        return None

    # The client's messages

    def _place(self, offer: Offer) -> Step:
        if offer.agent_id not in self._rules.agents:
            named = f"; known agents: {', '.join(self._rules.listed_agents)}" if self._rules.listed_agents else ""
            return self._reject("unknown_agent", f"no agent '{offer.agent_id}'{named}")
        self._offer = offer
        self._candidates = 0
        self._placements = []
        return State.PLACING, [Place(offer.agent_id, frozenset())]

    def _renegotiate(self, offer: Offer) -> Step:
        self._candidates = 0
        self._later_offers += 1
        update = UpdateOffer(
            session=self.session, gateway=self._rules.gateway, sdp=offer.sdp, offer_number=self._later_offers
        )
        return State.RENEGOTIATING, [self._to_worker(update)]

    def _offer_pending(self, _: Offer) -> Step:
        return self._reject("offer_pending", "the previous offer has not been answered yet")

    def _early_candidate(self, _: IceCandidate) -> Step:
        return self._reject("candidate_before_offer", "an ice-candidate belongs to an offer: send the offer first")

    def _count_candidate(self, candidate: IceCandidate) -> Step:
        # Not forwarded: media workers are ICE-lite (RFC 8445 §2.5). They learn a client's addresses from its checks and
        # never send to an address that it only names. Otherwise a page could make us probe our own network.
        if not candidate.is_last:
            self._candidates += 1
        if self._candidates == self._rules.max_candidates + 1:
            return self._reject("too_many_candidates", f"only {self._rules.max_candidates} candidates are read")
        return self.state, []

    def _bad_message(self, bad: BadMessage) -> Step:
        return self._reject(bad.code, bad.message)

    def _bye(self, _: Bye) -> Step:
        return self._leave("hangup", CloseSocket(NORMAL, "bye"))

    # Placement

    def _placed(self, placed: Placed) -> Step:
        self.session = placed.session
        self._placements.append(placed.media_worker)
        offer = self._pending_offer
        agent = self._rules.agents[offer.agent_id]
        opening = OpenSession(
            session=placed.session,
            gateway=self._rules.gateway,
            agent_id=agent.id,
            sdp=offer.sdp,
            pool=agent.pool,
            max_duration_s=agent.limits.max_duration_s,
        )
        return State.WAITING_FOR_ANSWER, [self._to_worker(opening)]

    def _placed_too_late(self, placed: Placed) -> Step:
        return State.CLOSED, [Release(placed.session, placed.media_worker)]

    def _refuse(self, refusal: PlacementRefused) -> Step:
        return State.CLOSED, [
            _error(refusal.code, refusal.message, refusal.retry_after_ms),
            CloseSocket(TRY_AGAIN_LATER, refusal.code),
        ]

    def _refused_too_late(self, _: PlacementRefused) -> Step:
        return State.CLOSED, []

    # The media worker's messages

    def _established(self, answer: OfferAnswered) -> Step:
        session = {
            "type": "session",
            "sessionId": self.session,
            "iceServers": list(self._rules.ice_servers(self.session)),
        }
        return State.ESTABLISHED, [
            SendToClient(session),
            SendToClient({"type": "answer", "sdp": answer.sdp}),
        ]

    def _renegotiated(self, answer: OfferAnswered) -> Step:
        return State.ESTABLISHED, [SendToClient({"type": "answer", "sdp": answer.sdp})]

    def _refused_by_worker(self, refusal: OfferRefused) -> Step:
        released = self._release()
        if refusal.code in _NO_ROOM:
            if len(self._placements) < _MAX_PLACEMENTS:
                offer = self._pending_offer
                return State.PLACING, [released, Place(offer.agent_id, frozenset(self._placements))]
            retry_after_ms = refusal.retry_after_ms or self._rules.retry_after_ms
            state, actions = self._refuse(PlacementRefused("no_capacity", refusal.message, retry_after_ms))
            return state, [released, *actions]
        leftover = [] if refusal.final else self._end_session("refused")
        rejection = self._reject(refusal.code, refusal.message, refusal.retry_after_ms)[1]
        return State.WAITING_FOR_OFFER, [*(leftover or [released]), *rejection]

    def _update_refused(self, refusal: OfferRefused) -> Step:
        if refusal.final:
            error = _error(refusal.code, refusal.message, refusal.retry_after_ms)
            return State.CLOSED, [error, CloseSocket(FAILED, refusal.code)]
        return State.ESTABLISHED, self._reject(refusal.code, refusal.message, refusal.retry_after_ms)[1]

    def _relay(self, sent: ClientEventSent) -> Step:
        return self.state, [SendToClient(sent.event)]

    def _session_closed(self, closed: SessionClosed) -> Step:
        code = NORMAL if closed.reason in _NORMAL_ENDS else FAILED
        return State.CLOSED, [*self._unclaimed(), CloseSocket(code, closed.reason)]

    # Deadlines and ends

    def _no_offer(self, _: DeadlinePassed) -> Step:
        message = f"no offer within {self._rules.offer_timeout_s:g} s"
        return State.CLOSED, [_error("offer_timeout", message), CloseSocket(POLICY, "offer_timeout")]

    def _no_answer(self, _: DeadlinePassed) -> Step:
        error = _error("answer_timeout", "no media worker answered the offer in time", self._rules.retry_after_ms)
        end = self._end_session("answer_timeout")
        return State.CLOSED, [error, *end, CloseSocket(TRY_AGAIN_LATER, "answer_timeout")]

    def _no_update_answer(self, _: DeadlinePassed) -> Step:
        message = "the offer was not answered in time; the session continues unchanged"
        return State.ESTABLISHED, self._reject("answer_timeout", message)[1]

    def _gone(self, _: SocketClosed) -> Step:
        return self._leave("hangup")

    def _too_slow(self, _: ClientTooSlow) -> Step:
        return self._leave("too_slow", CloseSocket(POLICY, "too_slow"))

    def _warn(self, drain: DrainStarted) -> Step:
        return self.state, [SendToClient({"type": "goaway", "timeLeftMs": drain.time_left_ms})]

    def _go_away(self, drain: DrainStarted) -> Step:
        return State.CLOSED, [*self._warn(drain)[1], CloseSocket(GOING_AWAY, "goaway")]

    def _stop(self, _: DrainEnded) -> Step:
        return self._leave("goaway", CloseSocket(GOING_AWAY, "goaway"))

    def _give_up(self) -> Step:
        error = _error("too_many_errors", f"more than {self._rules.max_errors} messages were refused")
        return self._leave("too_many_errors", error, CloseSocket(POLICY, "too_many_errors"))

    # Actions

    def _reject(self, code: str, message: str, retry_after_ms: int | None = None) -> Step:
        self._errors += 1
        return self.state, [_error(code, message, retry_after_ms)]

    def _leave(self, reason: str, *farewell: Action) -> Step:
        if self.state is State.PLACING:
            return State.ABANDONING, [*farewell]
        return State.CLOSED, [*self._end_session(reason), *farewell]

    def _end_session(self, reason: str) -> list[Action]:
        if self.state is State.WAITING_FOR_OFFER:
            return []
        return [self._to_worker(CloseSession(session=self.session, reason=reason)), *self._unclaimed()]

    def _unclaimed(self) -> list[Action]:
        """Release the slots of a session that was never established; after that they belong to the workers."""
        return [self._release()] if self.state is State.WAITING_FOR_ANSWER else []

    def _release(self) -> Action:
        return Release(self.session, self._placements[-1])

    def _to_worker(self, message: OpenSession | UpdateOffer | CloseSession) -> Action:
        return SendToWorker(self._placements[-1], message)

    @property
    def _pending_offer(self) -> Offer:
        assert self._offer is not None, "only waiting_for_offer has no offer"
        return self._offer


def _error(code: str, message: str, retry_after_ms: int | None = None) -> Action:
    error: dict[str, Any] = {"type": "error", "code": code, "message": message}
    if retry_after_ms is not None:
        error["retryAfterMs"] = retry_after_ms
    return SendToClient(error)


_Handler = Callable[[SignalingMachine, Any], Step]
_M = SignalingMachine
_LEAVING: dict[type, _Handler] = {
    Bye: _M._bye,
    SocketClosed: _M._gone,
    ClientTooSlow: _M._too_slow,
    DrainEnded: _M._stop,
}
_RUNNING: dict[type, _Handler] = {
    **_LEAVING,
    BadMessage: _M._bad_message,
    IceCandidate: _M._count_candidate,
    ClientEventSent: _M._relay,
    SessionClosed: _M._session_closed,
    DrainStarted: _M._warn,
}

_TABLE: Mapping[State, Mapping[type, _Handler]] = {
    State.WAITING_FOR_OFFER: {
        **_LEAVING,
        Offer: _M._place,
        BadMessage: _M._bad_message,
        IceCandidate: _M._early_candidate,
        DeadlinePassed: _M._no_offer,
        DrainStarted: _M._go_away,
    },
    State.PLACING: {
        **_LEAVING,
        Offer: _M._offer_pending,
        BadMessage: _M._bad_message,
        IceCandidate: _M._count_candidate,
        Placed: _M._placed,
        PlacementRefused: _M._refuse,
        DrainStarted: _M._warn,
    },
    State.WAITING_FOR_ANSWER: {
        **_RUNNING,
        Offer: _M._offer_pending,
        OfferAnswered: _M._established,
        OfferRefused: _M._refused_by_worker,
        DeadlinePassed: _M._no_answer,
    },
    State.ESTABLISHED: {
        **_RUNNING,
        Offer: _M._renegotiate,
    },
    State.RENEGOTIATING: {
        **_RUNNING,
        Offer: _M._offer_pending,
        OfferAnswered: _M._renegotiated,
        OfferRefused: _M._update_refused,
        DeadlinePassed: _M._no_update_answer,
    },
    State.ABANDONING: {
        Placed: _M._placed_too_late,
        PlacementRefused: _M._refused_too_late,
    },
    State.CLOSED: {},
}
