"""The offers of one caller and the answers to them: the first one, and the later ones of the same peer."""

from media_worker.core.ice_lite import Credentials
from media_worker.core.sdp_answer import LocalMedia, write_answer
from media_worker.core.sdp_offer import parse_offer
from media_worker.core.stun import Address
from shared.errors import OfferError
from shared.rate_limiter import RateLimiter

_OFFERS_PER_S, _OFFERS_AT_ONCE = 1, 10
"""Later offers: a browser makes one when its network changes, or its user puts the agent on hold."""


class Negotiation:
    """Raises `OfferError` for an offer that cannot be answered; nothing has changed then."""

    def __init__(self, sdp: str, fingerprint: str, addresses: tuple[Address, ...], ssrc: int) -> None:
        self.offer = parse_offer(sdp)
        """The latest one."""
        self._fingerprint = fingerprint
        self._addresses = addresses
        self._ssrc = ssrc
        self._version = 1
        self._later_offers = RateLimiter(_OFFERS_PER_S, _OFFERS_AT_ONCE)

    @property
    def payload_type(self) -> int:
        """Of Opus."""
        opus = self.offer.audio.opus
        assert opus is not None, "parse_offer refuses an offer without Opus"
        return opus.payload_type

    def update(self, sdp: str, now: float) -> bool:
        """Take a later offer: it may restart ICE, or put the agent on hold. True if it restarts ICE."""
        if not self._later_offers.admits(now):
            message = f"at most {_OFFERS_PER_S} offer a second is answered during a session"
            raise OfferError(message, code="too_many_offers")
        offer, before = parse_offer(sdp), self.offer
        if offer.fixed_parts != before.fixed_parts:
            raise OfferError("a later offer must be of the same peer and the same sections", code="offer_changed")
        self.offer = offer
        self._version += 1
        return (offer.audio.ufrag, offer.audio.password) != (before.audio.ufrag, before.audio.password)

    def answer(self, credentials: Credentials) -> str:
        """The answer to the latest offer, in SDP."""
        local = LocalMedia(credentials, self._fingerprint, self._addresses, self._ssrc, "antiphon", self._version)
        return write_answer(self.offer, local)
