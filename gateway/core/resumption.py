"""Sessions that outlive their WebSocket or their media worker."""

from gateway.core.client_messages import Offer, ResumeSession
from gateway.core.connection import Attachment, Connection, State, Step
from gateway.core.offer_attempt import OfferAttempt
from gateway.core.resume_tokens import ResumeToken
from gateway.core.server_messages import error, goaway, resumed
from gateway.core.session_record import SessionRecord
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
    SendToWorker,
    SessionFound,
    SessionUnknown,
    Watch,
)
from gateway.core.signaling_rules import FAILED
from shared.events import CloseSession, GatewayAttached


def look_up(c: Connection, request: Offer | ResumeSession) -> Step:
    shown = ResumeToken.parse(request.resume_token or "")
    if shown is None or (c.attached is not None and shown.session != c.attached.session):
        return refuse_resume(c)
    c.request, c.shown = request, shown
    return State.LOOKING_UP, [Lookup(shown.session)]


def offer_after_loss(c: Connection, offer: Offer) -> Step:
    if offer.resume_token is not None:
        return look_up(c, offer)
    return c.reject("media_worker_lost", "the media worker is lost: send an offer with the resumeToken")


def already_attached(c: Connection, _: ResumeSession) -> Step:
    return c.reject("already_attached", "this connection has a session already")


def found(c: Connection, result: SessionFound) -> Step:
    request, shown, record = c.request, c.shown, result.record
    c.request = c.shown = None
    assert request is not None, "a lookup has a request"
    assert shown is not None, "and its token"
    match shown.verdict(record.resume_tokens):
        case "unknown":
            return refuse_resume(c)
        case "retired":
            return end_reused(c, record)
    successor = shown.successor(record.resume_tokens, c.rules.new_secret)
    c.relay.begin_replay(request.last_seq)
    if isinstance(request, ResumeSession):
        return attach(c, shown, successor, result)
    attempt = OfferAttempt.move(request, shown, successor, result, c.answer_by_s)
    if c.media_lost and not c.never_connected and c.is_attached_to(record.media_worker):
        attempt.avoid.add(record.media_worker)
    return c.begin(attempt)


def attach(c: Connection, shown: ResumeToken, successor: ResumeToken, result: SessionFound) -> Step:
    record = result.record
    hashes = successor.record(shown)
    expires_ms = record.created_ms + record.max_duration_s * 1000
    c.attached = Attachment(record.session, record.media_worker)
    c.has_moved = False
    actions: list[Action] = [
        c.to_worker(GatewayAttached(session=record.session, gateway=c.rules.gateway, resume_tokens=hashes)),
        Watch(record.session, record.media_worker),
        resumed(record.session, str(successor), expires_ms),
        ReadEvents(record.session),
    ]
    if result.media_alive:
        return State.ESTABLISHED, actions
    state, lost = lose_media(c, MediaWorkerLost(record.media_worker))
    return state, [*actions, *lost]


def refuse_resume(c: Connection, _: SessionUnknown | None = None) -> Step:
    message = "this session cannot be resumed: send an offer without resumeToken"
    return without_session(c, *c.reject("resume_refused", message)[1])


def end_reused(c: Connection, record: SessionRecord) -> Step:
    """Which of the two parties is the caller cannot be told, so neither goes on."""
    closing = SendToWorker(record.media_worker, CloseSession(session=record.session, reason="resume_token_reused"))
    message = "this resumeToken was replaced by a newer one that has been used: the session has been ended"
    return without_session(c, closing, *c.reject("resume_token_reused", message)[1])


def without_session(c: Connection, *actions: Action) -> Step:
    left: list[Action] = []
    if c.media_lost:  # and the session with it
        left = c.detach()
        c.attached, c.media_lost = None, False
    return c.go_back(*left, *actions)


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
