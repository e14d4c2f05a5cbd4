import pytest

from media_worker.core.ice_lite import Credentials
from media_worker.core.negotiation import Negotiation
from shared.errors import OfferError
from tests.media_worker.core.test_sdp_offer import CHROMIUM

CREDENTIALS = Credentials("ufrag", "p" * 32)


def negotiation() -> Negotiation:
    return Negotiation(CHROMIUM, "sha-256 AA:BB", (("192.0.2.1", 4_000),), 7)


def version(answer: str) -> str:
    return next(line for line in answer.splitlines() if line.startswith("o=")).split()[2]


def test_each_answer_has_its_own_version() -> None:
    negotiated = negotiation()
    first = negotiated.answer(CREDENTIALS)
    assert not negotiated.update(CHROMIUM, 1.0), "the same again restarts nothing"
    assert version(first) != version(negotiated.answer(CREDENTIALS))


def test_new_credentials_of_the_peer_restart_ice() -> None:
    negotiated = negotiation()
    ufrag = negotiated.offer.audio.ufrag
    assert negotiated.update(CHROMIUM.replace(f"a=ice-ufrag:{ufrag}", "a=ice-ufrag:another1"), 1.0)


def test_an_offer_that_is_refused_changes_nothing() -> None:
    negotiated = negotiation()
    before = negotiated.offer
    for sdp in ("hello", CHROMIUM.replace("a=setup:actpass", "a=setup:passive")):
        with pytest.raises(OfferError):
            negotiated.update(sdp, 1.0)
    assert negotiated.offer is before


def test_one_later_offer_a_second_is_answered() -> None:
    negotiated = negotiation()
    for _ in range(10):
        negotiated.update(CHROMIUM, 1.0)
    with pytest.raises(OfferError, match="1 offer a second"):
        negotiated.update(CHROMIUM, 1.0)
    negotiated.update(CHROMIUM, 2.0)
