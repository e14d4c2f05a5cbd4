"""How a connection ends, and what does not end it: drains, departures, bad messages, the session's own end."""

from gateway.core.client_messages import Bye
from gateway.core.connection import Connection, State, Step
from gateway.core.server_messages import error, goaway
from gateway.core.signaling_events import (
    BadMessage,
    ClientTooSlow,
    CloseSocket,
    DeadlinePassed,
    DrainEnded,
    DrainStarted,
    SendToClient,
    SocketClosed,
)
from gateway.core.signaling_rules import GOING_AWAY, NORMAL, POLICY, close_code
from shared.events import NEVER_CONNECTED, ClientEventSent, SessionClosed


def bad_message(c: Connection, bad: BadMessage) -> Step:
    return c.reject(bad.code, bad.message)


def bye(c: Connection, _: Bye) -> Step:
    return c.leave(c.end("hangup"), CloseSocket(NORMAL, "bye"))


def pass_on(c: Connection, sent: ClientEventSent) -> Step:
    # While the session moves, the old media worker's events wait: they count only if the move fails.
    events = [sent.event] if c.place_speaks else c.relay.live(sent.event)
    return c.state, [SendToClient(event) for event in events]


def session_closed(c: Connection, closed: SessionClosed) -> Step:
    if closed.reason == "moved" and c.old_end_due:
        c.old_end_due = False
        return c.state, []
    if c.has_moved and closed.reason in NEVER_CONNECTED:
        # Only the new peer connection has ended. The session waits for another one.
        c.media_lost = c.never_connected = True
        return State.MEDIA_LOST, [goaway(0, "media", closed.reason)]
    return State.CLOSED, [CloseSocket(close_code(closed.reason), closed.reason)]


def closed_while_offering(c: Connection, closed: SessionClosed) -> Step:
    """A failure of the old peer connection does not end the session that moves away from it."""
    wanted = close_code(closed.reason) == NORMAL
    if c.place_speaks and c.attached is None and not c.pending.resume:
        left = c.pending.release()
    elif wanted and not c.place_speaks:
        c.attached, left = None, c.withdraw(closed.reason)
    else:
        c.media_lost = c.media_lost or c.is_attached_to(c.speaker)
        return c.state, []
    return c.leave(left, CloseSocket(close_code(closed.reason), closed.reason))


def no_offer(c: Connection, _: DeadlinePassed) -> Step:
    message = f"no offer within {c.rules.offer_timeout_s:g} s"
    return State.CLOSED, [error("offer_timeout", message), CloseSocket(POLICY, "offer_timeout")]


def gone(c: Connection, _: SocketClosed) -> Step:
    return c.leave(c.detach())


def too_slow(c: Connection, _: ClientTooSlow) -> Step:
    return c.leave(c.detach("too_slow"), CloseSocket(POLICY, "too_slow"))


def warn(c: Connection, drain: DrainStarted) -> Step:
    return c.state, [goaway(drain.time_left_ms, "signaling", "draining")]


def go_away(c: Connection, drain: DrainStarted) -> Step:
    return State.CLOSED, [*warn(c, drain)[1], CloseSocket(GOING_AWAY, "goaway")]


def stop(c: Connection, _: DrainEnded) -> Step:
    return c.leave(c.detach("goaway"), CloseSocket(GOING_AWAY, "goaway"))


def give_up(c: Connection) -> Step:
    told = error("too_many_errors", f"more than {c.rules.max_errors} messages were refused")
    return c.leave(c.end("too_many_errors"), told, CloseSocket(POLICY, "too_many_errors"))
