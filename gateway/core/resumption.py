"""Sessions that outlive their WebSocket or their media worker."""

from gateway.core.client_messages import Offer, ResumeSession
from gateway.core.connection import Attachment, Connection, State, Step
from gateway.core.offer_attempt import OfferAttempt
from gateway.core.resume_tokens import hash_of, session_of
from gateway.core.server_messages import error, goaway, resumed
from gateway.core.signaling_events import (
    Action,
    CloseSocket,
    DeadlinePassed,
    EventsRead,
    Lookup,
    LookupFailed,
    MediaWorkerBack,
    MediaWorkerLost,
    MessagesLost,
    ReadEvents,
    SendToClient,
    SessionFound,
    SessionUnknown,
    Watch,
)
from gateway.core.signaling_rules import FAILED
from shared.events import GatewayAttached


def look_up(c: Connection, request: Offer | ResumeSession) -> Step:
    named = session_of(request.resume_token or "")
    if named is None or (c.attached is not None and named != c.attached.session):
        return refuse_resume(c)
    c.request = request
    return State.LOOKING_UP, [Lookup(named)]


def offer_after_loss(c: Connection, offer: Offer) -> Step:
    if offer.resume_token is not None:
        return look_up(c, offer)
    return c.reject("media_worker_lost", "the media worker is lost: send an offer with the resumeToken")


def already_attached(c: Connection, _: ResumeSession) -> Step:
    return c.reject("already_attached", "this connection has a session already")


def found(c: Connection, result: SessionFound) -> Step:
    request, c.request = c.request, None
    assert request is not None, "a lookup has a request"
    if not c.tokens.accept(request.resume_token or "", result.record.resume_tokens):
        return refuse_resume(c)
    c.relay.begin_replay(request.last_seq)
    if isinstance(request, ResumeSession):
        return attach(c, request.resume_token, result)
    attempt = OfferAttempt.move(request, result, c.answer_by_s)
    if c.media_lost and not c.never_connected and c.is_attached_to(result.record.media_worker):
        attempt.avoid.add(result.record.media_worker)
    return c.begin(attempt)


def attach(c: Connection, shown: str, result: SessionFound) -> Step:
    record = result.record
    # A media worker that is lost records no other token, and the client may have to come back before it has moved.
    token = c.tokens.give(c.tokens.new(record.session) if result.media_alive else shown)
    hashes = (hash_of(token), hash_of(shown))
    expires_ms = record.created_ms + record.max_duration_s * 1000
    c.attached = Attachment(record.session, record.media_worker)
    c.has_moved = False
    actions: list[Action] = [
        c.to_worker(GatewayAttached(session=record.session, gateway=c.rules.gateway, resume_tokens=hashes)),
        Watch(record.session, record.media_worker),
        resumed(record.session, token, expires_ms),
        ReadEvents(record.session),
    ]
    if result.media_alive:
        return State.ESTABLISHED, actions
    state, lost = lose_media(c, MediaWorkerLost(record.media_worker))
    return state, [*actions, *lost]


def refuse_resume(c: Connection, _: SessionUnknown | None = None) -> Step:
    left: list[Action] = []
    if c.media_lost:  # and the session with it
        left = c.detach()
        c.attached, c.media_lost = None, False
    message = "this session cannot be resumed: send an offer without resumeToken"
    return c.go_back(*left, *c.reject("resume_refused", message)[1])


def look_up_failed(c: Connection, failure: LookupFailed) -> Step:
    return c.go_back(*c.reject(*failure)[1])


def events_read(c: Connection, read: EventsRead) -> Step:
    return c.state, [SendToClient(event) for event in c.relay.replay(read.events)]


def read_again(c: Connection, lost: MessagesLost) -> Step:
    if not c.is_attached_to(lost.media_worker):
        return c.state, []
    c.relay.begin_replay()
    return c.state, [ReadEvents(c.session)]


def lose_media(c: Connection, lost: MediaWorkerLost) -> Step:
    if not c.is_attached_to(lost.media_worker):
        return c.state, []
    c.media_lost = True
    return State.MEDIA_LOST, [goaway(0, "media", "media_worker_lost")]


def note_lost(c: Connection, lost: MediaWorkerLost) -> Step:
    c.media_lost = c.media_lost or c.is_attached_to(lost.media_worker)
    return c.state, []


def regain_media(c: Connection, back: MediaWorkerBack) -> Step:
    if not c.is_attached_to(back.media_worker):
        return c.state, []
    c.media_lost = False
    return State.ESTABLISHED, []


def note_back(c: Connection, back: MediaWorkerBack) -> Step:
    c.media_lost = c.media_lost and not c.is_attached_to(back.media_worker)
    return c.state, []


def not_moved(c: Connection, _: DeadlinePassed) -> Step:
    message = f"no offer with the resumeToken within {c.rules.media_lost_timeout_s:g} s"
    told = error("media_worker_lost", message)
    return State.CLOSED, [*c.detach(), told, CloseSocket(FAILED, "media_worker_lost")]
