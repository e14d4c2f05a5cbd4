import pytest

from shared.errors import (
    AntiphonError,
    BrokerError,
    ConfigError,
    EngineError,
    OfferError,
    PeerError,
    RefusedError,
    WireError,
    leaves,
)


@pytest.mark.parametrize(
    ("error_type", "code"),
    [
        (AntiphonError, "internal"),
        (PeerError, "bad_request"),
        (WireError, "bad_wire"),
        (OfferError, "bad_sdp"),
        (ConfigError, "bad_config"),
        (BrokerError, "broker_unavailable"),
        (RefusedError, "no_capacity"),
        (EngineError, "engine_failed"),
    ],
)
def test_error_codes_are_stable(error_type: type[AntiphonError], code: str) -> None:
    error = error_type("what happened")
    assert error.code == code
    assert str(error) == error.message == "what happened"
    assert error.retry_after_ms is None


def test_one_error_may_have_a_code_of_its_own_without_changing_the_others() -> None:
    assert PeerError("x", code="second_offer", retry_after_ms=50).code == "second_offer"
    assert PeerError("x", retry_after_ms=50).retry_after_ms == 50
    assert PeerError("x").code == "bad_request"


@pytest.mark.parametrize("error_type", [WireError, OfferError])
def test_errors_of_the_peer_can_be_caught_as_such(error_type: type[PeerError]) -> None:
    with pytest.raises(PeerError):
        raise error_type("x")


def test_the_leaves_of_nested_groups_come_in_order() -> None:
    one, two, three = PeerError("1"), ValueError("2"), PeerError("3")
    group = ExceptionGroup("", [one, ExceptionGroup("", [two]), three])
    assert list(leaves(group)) == [one, two, three]
    assert list(leaves(one)) == [one]
