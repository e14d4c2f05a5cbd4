"""Offers: their placement, the media workers' replies, their candidates."""

from gateway.core.client_messages import IceCandidate, Offer, ResumeSession
from gateway.core.connection import Attachment, Connection, State, Step
from gateway.core.event_relay import EventRelay
from gateway.core.offer_attempt import OfferAttempt, found_no_room
from gateway.core.resumption import look_up
from gateway.core.server_messages import answer, error, session
from gateway.core.signaling_events import (
    CloseSocket,
    DeadlinePassed,
    LookupFailed,
    Placed,
    PlacementRefused,
    Release,
    SendToClient,
    SessionFound,
    SessionUnknown,
    Watch,
)
from gateway.core.signaling_rules import FAILED, TRY_AGAIN_LATER
from shared.events import OfferAnswered, OfferRefused, UpdateOffer


def first_offer(c: Connection, offer: Offer) -> Step:
    if offer.resume_token is not None:
        return look_up(c, offer)
    agent = c.rules.agents.get(offer.agent_id)
    if agent is None:
        named = f"; known agents: {', '.join(c.rules.listed_agents)}" if c.rules.listed_agents else ""
        return c.reject("unknown_agent", f"no agent '{offer.agent_id}'{named}")
    return c.begin(OfferAttempt.new(offer, agent, c.answer_by_s))


def later_offer(c: Connection, offer: Offer) -> Step:
    if offer.resume_token is not None:
        return look_up(c, offer)
    c.candidates = 0
    c.later_offers += 1
    update = UpdateOffer(session=c.session, gateway=c.rules.gateway, sdp=offer.sdp, offer_number=c.later_offers)
    return State.RENEGOTIATING, [c.to_worker(update)]


def offer_pending(c: Connection, _: Offer | ResumeSession) -> Step:
    return c.reject("offer_pending", "the previous message has not been answered yet")


def early_candidate(c: Connection, _: IceCandidate) -> Step:
    return c.reject("candidate_before_offer", "an ice-candidate belongs to an offer: send the offer first")


def count_candidate(c: Connection, candidate: IceCandidate) -> Step:
    # Not forwarded: media workers are ICE-lite (RFC 8445 §2.5). They learn a client's addresses from its checks and
    # never send to an address that it only names. Otherwise a page could make us probe our own network.
    if not candidate.is_last:
        c.candidates += 1
    if c.candidates == c.rules.max_candidates + 1:
        return c.reject("too_many_candidates", f"only {c.rules.max_candidates} candidates are read")
    return c.state, []


def send_to_place(c: Connection, placed: Placed) -> Step:
    return State.WAITING_FOR_ANSWER, [c.pending.put(placed, c.rules.gateway, c.rules.new_secret)]


def place_again(c: Connection, placed: Placed) -> Step:
    reply = c.pending.reply
    if reply is not None and not found_no_room(reply):
        state, actions = take(c, reply)
        return state, [Release(placed.session, placed.media_worker), *actions]
    left = c.pending.withdraw("answer_timeout")
    state, actions = send_to_place(c, placed)
    return state, [*left, *actions]


def nowhere_else(c: Connection, _: PlacementRefused) -> Step:
    c.pending.nowhere_else = True
    reply = c.pending.reply
    return (State.WAITING_FOR_ANSWER, []) if reply is None else take(c, reply)


def placed_too_late(c: Connection, placed: Placed) -> Step:
    return State.CLOSED, [Release(placed.session, placed.media_worker)]


def too_late(c: Connection, _: PlacementRefused | SessionFound | SessionUnknown | LookupFailed) -> Step:
    return State.CLOSED, []


def refuse(c: Connection, refusal: PlacementRefused) -> Step:
    """Only a client that has no session yet is sent away."""
    if c.attached is not None:
        return c.go_back(*c.reject(*refusal)[1])
    return State.CLOSED, [error(*refusal), CloseSocket(TRY_AGAIN_LATER, refusal.code)]


def no_answer(c: Connection, _: DeadlinePassed) -> Step:
    attempt = c.pending
    if c.now_s < attempt.answer_by_s and attempt.may_try_elsewhere:
        return State.PLACING_AGAIN, [attempt.next_place()]
    left = attempt.withdraw("answer_timeout")
    message = "no media worker answered the offer in time"
    state, actions = refuse(c, PlacementRefused("answer_timeout", message, c.rules.retry_after_ms))
    return state, [*left, *actions]


def replied(c: Connection, reply: OfferAnswered | OfferRefused) -> Step:
    return take(c, reply) if c.place_speaks else (c.state, [])


def keep_reply(c: Connection, reply: OfferAnswered | OfferRefused) -> Step:
    if c.place_speaks:
        c.pending.reply = reply
    return c.state, []


def take(c: Connection, reply: OfferAnswered | OfferRefused) -> Step:
    return established(c, reply) if isinstance(reply, OfferAnswered) else refused_by_worker(c, reply)


def established(c: Connection, answered: OfferAnswered) -> Step:
    attempt, c.attempt = c.pending, None
    placed = attempt.place
    assert placed is not None, "a place has answered"
    was_here = c.is_attached_to(placed.media_worker)  # the record may not say so yet
    c.attached = Attachment(placed.session, placed.media_worker)
    c.media_lost = c.never_connected = False
    c.has_moved = attempt.resume is not None
    c.old_end_due = attempt.resume is not None and (
        was_here or (attempt.resume.media_worker, attempt.old_gateway) == (placed.media_worker, c.rules.gateway)
    )
    c.relay = EventRelay()
    return State.ESTABLISHED, [
        Watch(placed.session, placed.media_worker),
        session(placed.session, str(attempt.resume_token), c.rules.ice_servers(placed.session), attempt.expires_ms),
        answer(answered.sdp),
        *(SendToClient(stored.event) for stored in attempt.missed),
    ]


def refused_by_worker(c: Connection, refusal: OfferRefused) -> Step:
    attempt = c.pending
    left = attempt.release() if refusal.final else attempt.withdraw("refused")
    if not found_no_room(refusal):
        rejection = c.reject(refusal.code, refusal.message, refusal.retry_after_ms)[1]
        return c.go_back(*left, *rejection)
    if attempt.may_try_elsewhere:
        return State.PLACING, [*left, attempt.next_place()]
    retry_after_ms = refusal.retry_after_ms or c.rules.retry_after_ms
    state, actions = refuse(c, PlacementRefused("no_capacity", refusal.message, retry_after_ms))
    return state, [*left, *actions]


def renegotiated(c: Connection, answered: OfferAnswered) -> Step:
    return State.ESTABLISHED, [answer(answered.sdp)]


def update_refused(c: Connection, refusal: OfferRefused) -> Step:
    if refusal.final:
        told = error(refusal.code, refusal.message, refusal.retry_after_ms)
        return State.CLOSED, [told, CloseSocket(FAILED, refusal.code)]
    return State.ESTABLISHED, c.reject(refusal.code, refusal.message, refusal.retry_after_ms)[1]


def no_update_answer(c: Connection, _: DeadlinePassed) -> Step:
    message = "the offer was not answered in time; the session continues unchanged"
    return State.ESTABLISHED, c.reject("answer_timeout", message)[1]
