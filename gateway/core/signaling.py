"""Signaling of one client, without its socket: inputs and the time go in, actions come out.

Theory of operation. A client has a deadline for its first offer. Placing the offer reserves a slot and sends the offer
to a media worker, which answers or refuses. The answer establishes the session. The media worker asks for a pipeline
worker when the caller is connected, so a stranger's offer occupies none. If the media worker has no room or stays
silent, the offer is placed elsewhere, up to three times in all and within one deadline; a silent one is kept until
there is another place, because it may only be busy. After any other refusal the client may send another offer.

A later offer renegotiates (an ICE restart). If it fails, the session continues under the old description. Later offers
are numbered, so that a late answer to one is not taken for the answer to the next.

A session outlives its WebSocket: one that closes without a goodbye is reported to the media worker. Its client comes
back with a resume token, through any gateway. A `resume` attaches the new WebSocket and replays the events that were
missed. An offer with the token moves the session to a new peer connection, on another media worker if the old one is
lost. The old one counts until the new one has answered: if the move fails, nothing has changed.

Every path ends in `closed`, which accepts nothing. A client that leaves while something is being found out for it puts
the machine into `abandoning`, until it is known what to release. Every wait for somebody else has a deadline.

The table lists the inputs that each state handles. Other messages of the client or a worker are late and are ignored;
other inputs of our own are bugs and raise. WHIP and an OpenAI Realtime endpoint are meant to drive this same machine.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.core import endings, offers, resumption
from gateway.core.client_messages import Bye, IceCandidate, Offer, ResumeSession
from gateway.core.connection import Connection, State, Step
from gateway.core.signaling_events import (
    Action,
    BadMessage,
    ClientTooSlow,
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
    SessionFound,
    SessionUnknown,
    SocketClosed,
)
from gateway.core.signaling_rules import SignalingRules
from shared.errors import AntiphonError
from shared.events import ClientEventSent, OfferAnswered, OfferRefused, SessionClosed


class IllegalInput(AntiphonError):
    """An input of our own that the state does not allow. Nothing has changed."""

    code = "illegal_input"


class SignalingMachine:
    """One client's signaling. `deadline_s` is when `DeadlinePassed` is due, on the clock that `handle` is given."""

    def __init__(self, rules: SignalingRules, now_s: float) -> None:
        self.deadline_s: float | None = now_s + rules.offer_timeout_s
        self._rules = rules
        self._connection = Connection(rules, now_s)

    @property
    def state(self) -> State:
        return self._connection.state

    @property
    def session(self) -> str:
        """The session of this connection, for the log."""
        return self._connection.session

    def handle(self, event: Input, now_s: float) -> list[Action]:
        """The actions to take, in order. Raises `IllegalInput` if our own side is out of step."""
        connection = self._connection
        content: object = event
        if isinstance(event, Heard):
            if not self._awaits(event):
                return []
            connection.speaker, content = event
        step = _TABLE[connection.state].get(type(content))
        if step is None:
            if isinstance(content, _OUR_ANSWERS):
                raise IllegalInput(f"{type(content).__name__} while {connection.state.value}")
            return []
        if isinstance(content, DeadlinePassed) and (self.deadline_s is None or now_s < self.deadline_s):
            return []
        connection.now_s = now_s
        state, actions = step(connection, content)
        if connection.errors > self._rules.max_errors and state not in (State.ABANDONING, State.CLOSED):
            self._enter(state)
            state, farewell = endings.give_up(connection)
            actions = [*actions, *farewell]
        self._enter(state)
        return actions

    def _awaits(self, heard: Heard) -> bool:
        """Whether the message is of this session, and of a media worker that has it now or has the offer."""
        connection, message = self._connection, heard.message
        if isinstance(message, OfferAnswered | OfferRefused):
            # A reply to an offer that timed out is late. 0 is the first offer, or any offer of an older worker.
            expected = (0, connection.later_offers) if self.state is State.RENEGOTIATING else (0,)
            if message.offer_number not in expected:
                return False
        place = connection.attempt.place if connection.attempt is not None else None
        return (message.session, heard.media_worker) in (connection.attached, place and place[:2])

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self._connection.state = state
            self.deadline_s = self._deadline_s(state)

    def _deadline_s(self, state: State) -> float | None:
        rules, now_s = self._rules, self._connection.now_s
        match state:
            case State.WAITING_FOR_OFFER:
                return now_s + rules.offer_timeout_s
            case State.WAITING_FOR_ANSWER:
                attempt = self._connection.pending
                first_s = now_s + rules.place_again_after_s if attempt.may_try_elsewhere else attempt.answer_by_s
                return min(first_s, attempt.answer_by_s)
            case State.RENEGOTIATING:
                return now_s + rules.answer_timeout_s
            case State.MEDIA_LOST:
                return now_s + rules.media_lost_timeout_s
        return None


_OUR_ANSWERS = (Placed, PlacementRefused, SessionFound, SessionUnknown, LookupFailed)

_Handler = Callable[[Connection, Any], Step]
_OPEN: dict[type, _Handler] = {
    BadMessage: endings.bad_message,
    IceCandidate: offers.count_candidate,
    Bye: endings.bye,
    SocketClosed: endings.gone,
    ClientTooSlow: endings.too_slow,
    DrainStarted: endings.warn,
    DrainEnded: endings.stop,
}
_RUNNING: dict[type, _Handler] = {
    **_OPEN,
    ResumeSession: resumption.already_attached,
    ClientEventSent: endings.pass_on,
    EventsRead: resumption.events_read,
    SessionClosed: endings.session_closed,
    MediaWorkerLost: resumption.lose_media,
    MessagesLost: resumption.read_again,
}
_BUSY: dict[type, _Handler] = {
    **_OPEN,
    Offer: offers.offer_pending,
    ResumeSession: offers.offer_pending,
    ClientEventSent: endings.pass_on,
    EventsRead: resumption.events_read,
    SessionClosed: endings.closed_while_offering,
    MediaWorkerLost: resumption.note_lost,
    MediaWorkerBack: resumption.note_back,
}

_TABLE: Mapping[State, Mapping[type, _Handler]] = {
    State.WAITING_FOR_OFFER: {
        **_OPEN,
        Offer: offers.first_offer,
        ResumeSession: resumption.look_up,
        IceCandidate: offers.early_candidate,
        DeadlinePassed: endings.no_offer,
        DrainStarted: endings.go_away,
    },
    State.LOOKING_UP: {
        **_BUSY,
        SessionFound: resumption.found,
        SessionUnknown: resumption.refuse_resume,
        LookupFailed: resumption.look_up_failed,
    },
    State.PLACING: {
        **_BUSY,
        Placed: offers.send_to_place,
        PlacementRefused: offers.refuse,
    },
    State.WAITING_FOR_ANSWER: {
        **_BUSY,
        OfferAnswered: offers.replied,
        OfferRefused: offers.replied,
        DeadlinePassed: offers.no_answer,
    },
    State.PLACING_AGAIN: {
        **_BUSY,
        OfferAnswered: offers.keep_reply,
        OfferRefused: offers.keep_reply,
        Placed: offers.place_again,
        PlacementRefused: offers.nowhere_else,
    },
    State.ESTABLISHED: {
        **_RUNNING,
        Offer: offers.later_offer,
    },
    State.RENEGOTIATING: {
        **_RUNNING,
        Offer: offers.offer_pending,
        OfferAnswered: offers.renegotiated,
        OfferRefused: offers.update_refused,
        DeadlinePassed: offers.no_update_answer,
    },
    State.MEDIA_LOST: {
        **_RUNNING,
        Offer: resumption.offer_after_loss,
        MediaWorkerBack: resumption.regain_media,
        MediaWorkerLost: resumption.note_lost,
        DeadlinePassed: resumption.not_moved,
    },
    State.ABANDONING: {
        Placed: offers.placed_too_late,
        PlacementRefused: offers.too_late,
        SessionFound: offers.too_late,
        SessionUnknown: offers.too_late,
        LookupFailed: offers.too_late,
    },
    State.CLOSED: {},
}
