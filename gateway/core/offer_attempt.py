"""One offer on its way to a media worker that answers it: up to three places, within one deadline."""

from dataclasses import dataclass, field
from typing import Self

from gateway.core.client_messages import Offer
from gateway.core.resume_tokens import NewSecret, ResumeToken
from gateway.core.session_record import StoredEvent, resume_of
from gateway.core.signaling_events import Action, Place, Placed, Release, SendToWorker, SessionFound
from shared.agent import AgentDefinition
from shared.events import CloseSession, OfferAnswered, OfferRefused, OpenSession, Resume

_MAX_PLACES = 3


def found_no_room(reply: OfferAnswered | OfferRefused) -> bool:
    return isinstance(reply, OfferRefused) and reply.code in ("no_capacity", "draining")


@dataclass
class OfferAttempt:
    """The offer of a new session, or of one that moves to another peer connection: then there is a `resume`."""

    sdp: str
    agent_id: str
    pool: str
    max_duration_s: int
    answer_by_s: float
    session: str = ""
    """Of the session that moves."""
    created_ms: int = 0
    resume: Resume | None = None
    old_gateway: str = ""
    api_key: str = ""
    counted_in: tuple[str, ...] = ()
    survives_reload: bool = False
    traceparent: str = ""
    """Of the session that moves."""
    shown: ResumeToken | None = None
    resume_token: ResumeToken | None = None
    """A new one, for the client to come back with."""
    missed: tuple[StoredEvent, ...] = ()
    avoid: set[str] = field(default_factory=set)
    place: Placed | None = None
    reply: OfferAnswered | OfferRefused | None = None
    """Of the present place, while another one is being looked for."""
    nowhere_else: bool = False
    _tried: int = 0

    @classmethod
    def new(cls, offer: Offer, agent: AgentDefinition, answer_by_s: float) -> Self:
        duration_s, survives_reload = agent.limits.max_duration_s, offer.survives_reload
        return cls(offer.sdp, agent.id, agent.pool, duration_s, answer_by_s, survives_reload=survives_reload)

    @classmethod
    def move(
        cls, offer: Offer, shown: ResumeToken, successor: ResumeToken, found: SessionFound, answer_by_s: float
    ) -> Self:
        record = found.record
        return cls(
            offer.sdp,
            record.agent,
            record.pool,
            record.max_duration_s,
            answer_by_s,
            session=record.session,
            created_ms=record.created_ms,
            resume=resume_of(record, found.events, offer.last_seq),
            old_gateway=record.gateway,
            api_key=record.api_key,
            survives_reload=offer.survives_reload,
            counted_in=record.counted_in,
            traceparent=record.traceparent,
            shown=shown,
            resume_token=successor,
            missed=tuple(stored for stored in found.events if stored.seq > offer.last_seq),
            avoid=set() if found.media_alive else {record.media_worker},
        )

    @property
    def expires_ms(self) -> int:
        """Unix time at which the session ends at the latest."""
        began_ms = self.created_ms or (self.place.created_ms if self.place else 0)
        return began_ms + self.max_duration_s * 1000

    @property
    def may_try_elsewhere(self) -> bool:
        return self._tried < _MAX_PLACES and not self.nowhere_else

    def next_place(self) -> Place:
        silent = self.place.media_worker if self.place is not None else ""
        return Place(self.agent_id, self.pool, frozenset(self.avoid), self.session, silent)

    def put(self, placed: Placed, gateway: str, new_secret: NewSecret) -> SendToWorker:
        """The offer goes to this place."""
        self.place = placed
        self.max_duration_s = min(self.max_duration_s, placed.max_duration_s)
        if self.shown is None or self.resume_token is None:
            self.resume_token = ResumeToken.first(placed.session, new_secret)
        self.avoid.add(placed.media_worker)
        self._tried += 1
        opening = OpenSession(
            session=placed.session,
            gateway=gateway,
            agent_id=self.agent_id,
            sdp=self.sdp,
            pool=self.pool,
            created_ms=self.created_ms or placed.created_ms,
            max_duration_s=self.max_duration_s,
            resume_tokens=self.resume_token.record(self.shown),
            resume=self.resume,
            api_key=self.api_key or placed.api_key,
            counted_in=self.counted_in or placed.counted_in,
            survives_reload=self.survives_reload,
            traceparent=self.traceparent,
        )
        return SendToWorker(placed.media_worker, opening)

    def release(self) -> list[Action]:
        """The present place has refused."""
        placed, self.place, self.reply = self.place, None, None
        return [Release(placed.session, placed.media_worker)] if placed else []

    def withdraw(self, reason: str) -> list[Action]:
        """The present place is no longer wanted, whether it has read the offer or not."""
        if self.place is None:
            return []
        # A session that moves goes on elsewhere, so this place must end silently.
        close = CloseSession(session=self.place.session, reason="moved" if self.resume else reason)
        return [SendToWorker(self.place.media_worker, close), *self.release()]
