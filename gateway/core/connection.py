"""What is known of one client's connection, and the actions that several inputs have in common.

The handlers in `offers`, `resumption` and `endings` take a connection and an input; they return the next state and the
actions. `signaling` has the table that says which handler takes which input in which state.
"""

from enum import Enum
from typing import NamedTuple

from gateway.core.client_messages import Offer, ResumeSession
from gateway.core.event_relay import EventRelay
from gateway.core.offer_attempt import OfferAttempt
from gateway.core.resume_tokens import ResumeToken
from gateway.core.server_messages import error
from gateway.core.signaling_events import Action, SendToClient, SendToWorker
from gateway.core.signaling_rules import SignalingRules
from shared.events import CloseSession, GatewayAttached, GatewayDetached, UpdateOffer


class State(Enum):
    WAITING_FOR_OFFER = "waiting_for_offer"
    LOOKING_UP = "looking_up"
    PLACING = "placing"
    WAITING_FOR_ANSWER = "waiting_for_answer"
    PLACING_AGAIN = "placing_again"
    ESTABLISHED = "established"
    RENEGOTIATING = "renegotiating"
    MEDIA_LOST = "media_lost"
    ABANDONING = "abandoning"
    CLOSED = "closed"


_FINDING_OUT = frozenset({State.LOOKING_UP, State.PLACING, State.PLACING_AGAIN})
"""An answer to one of our own questions is due."""

Step = tuple[State, list[Action]]


class Attachment(NamedTuple):
    """The session that is established on this connection."""

    session: str
    media_worker: str


class Connection:
    def __init__(self, rules: SignalingRules, now_s: float) -> None:
        self.rules = rules
        self.state = State.WAITING_FOR_OFFER
        self.now_s = now_s
        self.request: Offer | ResumeSession | None = None
        """Waits for the record of its session."""
        self.shown: ResumeToken | None = None
        """Its token."""
        self.attempt: OfferAttempt | None = None
        self.attached: Attachment | None = None
        self.media_lost = False
        self.never_connected = False
        """What is lost is only the new peer connection: its media worker may take another one."""
        self.has_moved = False
        """The session was at another peer connection before the present one."""
        self.old_end_due = False
        """The session moved within its media worker, which will report the end of the old peer connection."""
        self.relay = EventRelay()
        self.speaker = ""
        """The media worker whose message is being handled."""
        self.later_offers = 0
        self.candidates = 0
        self.errors = 0

    @property
    def session(self) -> str:
        if self.attempt is not None and self.attempt.place is not None:
            return self.attempt.place.session
        return self.attached.session if self.attached is not None else ""

    @property
    def answer_by_s(self) -> float:
        return self.now_s + self.rules.answer_timeout_s

    @property
    def pending(self) -> OfferAttempt:
        assert self.attempt is not None, "an offer is being placed or answered"
        return self.attempt

    @property
    def place_speaks(self) -> bool:
        """Whether the message comes from the place that the offer was sent to."""
        place = self.attempt.place if self.attempt is not None else None
        return place is not None and place.media_worker == self.speaker

    def is_attached_to(self, media_worker: str) -> bool:
        return self.attached is not None and self.attached.media_worker == media_worker

    def to_worker(self, message: UpdateOffer | GatewayAttached | GatewayDetached | CloseSession) -> Action:
        assert self.attached is not None, "there is a session"
        return SendToWorker(self.attached.media_worker, message)

    def reject(self, code: str, message: str, retry_after_ms: int | None = None) -> Step:
        self.errors += 1
        return self.state, [error(code, message, retry_after_ms)]

    def begin(self, attempt: OfferAttempt) -> Step:
        self.candidates = 0
        self.attempt = attempt
        return State.PLACING, [attempt.next_place()]

    def go_back(self, *actions: Action) -> Step:
        """The request has failed, and changed nothing: the session, if there is one, is where it was."""
        self.attempt = None
        waited = [SendToClient(event) for event in self.relay.replay(())]
        if self.attached is None:
            return State.WAITING_FOR_OFFER, [*actions]
        return State.MEDIA_LOST if self.media_lost else State.ESTABLISHED, [*actions, *waited]

    def leave(self, left: list[Action], *farewell: Action) -> Step:
        return State.ABANDONING if self.state in _FINDING_OUT else State.CLOSED, [*left, *farewell]

    def end(self, reason: str) -> list[Action]:
        """End the session, wherever it is."""
        left = self.withdraw(reason)
        if self.attached is not None:
            return [self.to_worker(CloseSession(session=self.attached.session, reason=reason)), *left]
        resume = self.attempt and self.attempt.resume
        if self.attempt is not None and resume:
            left.append(SendToWorker(resume.media_worker, CloseSession(session=self.attempt.session, reason=reason)))
        return left

    def detach(self, reason: str = "hangup") -> list[Action]:
        """Leave the session alone: its client may come back. One that is not established yet ends for `reason`."""
        left = self.withdraw(reason)
        if self.attached is not None:
            detached = GatewayDetached(session=self.attached.session, gateway=self.rules.gateway)
            left.append(self.to_worker(detached))
        return left

    def withdraw(self, reason: str) -> list[Action]:
        return self.attempt.withdraw(reason) if self.attempt is not None else []
