import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.resume_tokens import ResumeTokens, hash_of, new_secret, session_of
from shared.ids import new_session_id

TOKENS = ResumeTokens(new_secret)


def test_a_token_names_its_session_and_redis_holds_only_its_hash() -> None:
    session = new_session_id()
    token = TOKENS.new(session)
    assert session_of(token) == session
    assert hash_of(token) == hashlib.sha256(token.encode()).hexdigest()
    assert TOKENS.new(session) != token


@pytest.mark.parametrize("text", ["", "s1", "s1.", ".abc", f"s1.{'x' * 42}", f"s1.{'x' * 44}", f"s 1.{'x' * 43}"])
def test_what_is_no_token_names_no_session(text: str) -> None:
    assert session_of(text) is None


@given(st.text())
def test_no_text_names_a_session_that_is_no_part_of_a_key(text: str) -> None:
    session = session_of(text)
    assert session is None or session.replace("-", "").replace("_", "").isalnum()


def test_a_token_is_accepted_if_it_was_recorded_or_given_here() -> None:
    tokens = ResumeTokens(new_secret)
    recorded, given_here, other = (tokens.new("s1") for _ in range(3))
    tokens.give(given_here)
    hashes = [hash_of("x"), hash_of(recorded)]
    assert tokens.accept(recorded, hashes)
    assert tokens.accept(given_here, hashes)
    assert not tokens.accept(other, hashes)
    assert not tokens.accept(recorded, [])
    assert not tokens.accept(hashes[1], hashes), "whoever has read the record cannot use it"
    assert not tokens.accept("ü", ["not a hash: ü"])
