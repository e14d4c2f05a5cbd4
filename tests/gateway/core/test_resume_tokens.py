import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.resume_tokens import ResumeToken, hash_of, new_secret
from shared.ids import new_session_id

FIRST = ResumeToken.first("s1", new_secret)


def shown(token: ResumeToken, record: tuple[str, ...]) -> tuple[ResumeToken, tuple[str, ...]]:
    """The successor of a token that is shown, and the record once the media worker has written it."""
    assert token.verdict(record) == "valid"
    successor = token.successor(record, new_secret)
    return successor, successor.record(token)


def test_a_token_names_its_session_and_redis_holds_only_hashes() -> None:
    session = new_session_id()
    token = ResumeToken.first(session, new_secret)
    assert ResumeToken.parse(str(token)) == token
    assert token.session == session
    assert token.record() == (hash_of(token.own), hash_of(token.family))
    assert hash_of("x") == hashlib.sha256(b"x").hexdigest()
    assert len({token.family, token.own, new_secret()}) == 3


@pytest.mark.parametrize("text", ["", "s1", "s1.", ".abc", f"s1.{'x' * 65}", f"s1.{'x' * 67}", f"s 1.{'x' * 66}"])
def test_what_is_no_token(text: str) -> None:
    assert ResumeToken.parse(text) is None


@given(st.text())
def test_no_text_names_a_session_that_is_no_part_of_a_key(text: str) -> None:
    token = ResumeToken.parse(text)
    assert token is None or token.session.replace("-", "").replace("_", "").isalnum()


def test_a_token_stays_valid_until_its_successor_has_been_shown() -> None:
    second, record = shown(FIRST, FIRST.record())
    assert (FIRST.verdict(record), second.verdict(record)) == ("valid", "valid")
    third, record = shown(second, record)
    assert [token.verdict(record) for token in (FIRST, second, third)] == ["retired", "valid", "valid"]


def test_tokens_that_were_given_for_the_same_one_are_valid_until_one_of_them_is_shown() -> None:
    """Whichever answer was lost, and whichever the media worker has recorded last."""
    one, _ = shown(FIRST, FIRST.record())
    other, record = shown(FIRST, FIRST.record())
    assert (one.verdict(record), other.verdict(record)) == ("valid", "valid")
    _, record = shown(one, record)
    assert (one.verdict(record), other.verdict(record)) == ("valid", "retired")


def test_tokens_that_no_media_worker_has_recorded_lead_back_however_often() -> None:
    record, token = FIRST.record(), FIRST
    for _ in range(5):
        token = token.successor(record, new_secret)
        assert token.verdict(record) == "valid"
    _, record = shown(token, record)
    assert FIRST.verdict(record) == "retired"


def test_a_token_of_another_session_is_unknown() -> None:
    other = ResumeToken.first("s1", new_secret)
    assert other.verdict(FIRST.record()) == "unknown"
    assert FIRST.verdict(()) == "unknown"


def test_whoever_has_read_the_record_has_no_token() -> None:
    own, family = (hashed[:22] for hashed in FIRST.record())
    assert ResumeToken("s1", family, own, own).verdict(FIRST.record()) == "unknown"
    assert FIRST.verdict(["not a hash: ü"]) == "unknown"


def test_the_common_part_of_a_sessions_tokens_opens_nothing() -> None:
    forged = FIRST._replace(anchor=FIRST.family, own=new_secret())
    assert forged._replace(anchor=new_secret()).verdict(FIRST.record()) == "retired"
