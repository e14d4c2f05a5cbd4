import base64
import json
import string
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tokens import CLOCK_SKEW_S, MAX_TOKEN_LENGTH, OPEN, Grant, read, sign
from shared.errors import PeerError

NOW_S = 1_800_000_000
KEYS = {"new": "n" * 32, "old": "o" * 32}
GRANT = Grant(
    agents=frozenset({"echo", "desk"}),
    max_duration_s=600,
    token_id="abcdefghijklmnop",
    expires_at_s=NOW_S + 60,
    api_key="website",
    metadata={"order": "42"},
)
TOKEN = sign(GRANT, KEYS, NOW_S)
CLAIMS: dict[str, Any] = jwt.decode(TOKEN, options={"verify_signature": False})
BASE64URL = string.ascii_letters + string.digits + "-_"


def refusal(token: str, now_s: float = NOW_S) -> str:
    with pytest.raises(PeerError) as refused:
        read(token, KEYS, now_s)
    return refused.value.code


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def signed(claims: dict[str, Any], key: str = KEYS["new"], algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers={"kid": "new"} | header)


def test_a_token_grants_what_was_signed() -> None:
    assert read(TOKEN, KEYS, NOW_S) == GRANT
    anything = OPEN._replace(token_id=GRANT.token_id, expires_at_s=GRANT.expires_at_s)
    assert read(sign(anything, KEYS, NOW_S), KEYS, NOW_S) == anything


def test_a_grant_names_its_agents_or_allows_all() -> None:
    assert [GRANT.allows(agent) for agent in ("echo", "desk", "other")] == [True, True, False]
    assert OPEN.allows("other")


def test_the_first_key_signs_and_all_keys_verify() -> None:
    assert jwt.get_unverified_header(TOKEN) == {"alg": "HS256", "kid": "new", "typ": "JWT"}
    old = sign(GRANT, {"old": KEYS["old"]}, NOW_S)
    assert read(old, KEYS, NOW_S) == GRANT
    with pytest.raises(PeerError, match="not one of ours"):
        read(old, {"new": KEYS["new"]}, NOW_S)


def test_clocks_may_differ_by_a_few_seconds() -> None:
    assert read(TOKEN, KEYS, NOW_S - CLOCK_SKEW_S) == GRANT
    assert read(TOKEN, KEYS, GRANT.expires_at_s + CLOCK_SKEW_S - 1) == GRANT
    assert refusal(TOKEN, NOW_S - CLOCK_SKEW_S - 1) == "token_invalid"
    assert refusal(TOKEN, GRANT.expires_at_s + CLOCK_SKEW_S) == "token_expired"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b.c",
        TOKEN + ".",
        TOKEN + "\n",
        TOKEN + "=",
        f" {TOKEN}",
        f"Bearer {TOKEN}",
        TOKEN.rsplit(".", 1)[0],
        TOKEN.rsplit(".", 1)[0] + ".",
        "x" * (MAX_TOKEN_LENGTH + 1),
        "[" * 3000,
        f"{encoded({'alg': 'none'})}.{encoded(CLAIMS)}.",
        base64.urlsafe_b64encode(b"[" * 1500).decode() + TOKEN[TOKEN.index(".") :],
        sign(GRANT._replace(metadata={"m": "x" * MAX_TOKEN_LENGTH}), KEYS, NOW_S),
    ],
)
def test_what_is_no_token(token: str) -> None:
    assert refusal(token) == "token_invalid"


def test_a_signature_has_one_spelling() -> None:
    signature = base64.urlsafe_b64decode(f"{TOKEN[-43:]}=")
    same = [last for last in BASE64URL if base64.urlsafe_b64decode(f"{TOKEN[-43:-1]}{last}=") == signature]
    assert len(same) == 4
    for last in same:
        if last != TOKEN[-1]:
            assert refusal(TOKEN[:-1] + last) == "token_invalid"


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", "ES256", "hs256", "", None, 5])
def test_no_other_algorithm_is_accepted(algorithm: object) -> None:
    _, payload, signature = TOKEN.split(".")
    assert refusal(f"{encoded({'alg': algorithm, 'kid': 'new'})}.{payload}.{signature}") == "token_invalid"


def test_a_longer_hash_with_the_right_key_is_refused() -> None:
    assert refusal(jwt.encode(CLAIMS, "n" * 64, "HS512", headers={"kid": "new"})) == "token_invalid"


@pytest.mark.parametrize("kid", ["old", "other", "", "NEW", None])
def test_another_key_id(kid: str | None) -> None:
    header = {"alg": "HS256", "typ": "JWT"} | ({"kid": kid} if kid is not None else {})
    assert refusal(f"{encoded(header)}{TOKEN[TOKEN.index('.') :]}") == "token_invalid"
    if kid != "old":
        token = jwt.encode(CLAIMS, KEYS["new"], "HS256", headers={"kid": kid} if kid is not None else None)
        assert refusal(token) == "token_invalid"


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "nbf", "jti", "agents"])
def test_a_missing_claim(claim: str) -> None:
    assert refusal(signed({name: value for name, value in CLAIMS.items() if name != claim})) == "token_invalid"


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "somebody"),
        ("aud", "another-service"),
        ("aud", []),
        ("exp", "2100000000"),
        ("exp", True),
        ("exp", 1e300),
        ("exp", -1),
        ("nbf", None),
        ("jti", ""),
        ("jti", "a:b" * 8),
        ("jti", 5),
        ("agents", "everything"),
        ("agents", [5]),
        ("agents", {}),
        ("maxDurationS", 0),
        ("maxDurationS", "600"),
        ("metadata", []),
    ],
)
def test_a_claim_of_the_wrong_kind(claim: str, value: object) -> None:
    # PyJWT itself does not sign some of them.
    payload = f"{encoded({'alg': 'HS256', 'kid': 'new'})}.{encoded(CLAIMS | {claim: value})}"
    signature = jwt.get_algorithm_by_name("HS256").sign(payload.encode(), KEYS["new"].encode())
    token = f"{payload}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert refusal(token) == "token_invalid"


def test_claims_of_a_newer_gateway_are_ignored() -> None:
    assert read(signed(CLAIMS | {"later": [1]}), KEYS, NOW_S) == GRANT


@given(st.data())
def test_no_token_with_another_character_passes(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TOKEN) - 1))
    other = data.draw(st.sampled_from(BASE64URL + ".=!\n ") | st.characters())
    if other != TOKEN[at]:
        assert refusal(TOKEN[:at] + other + TOKEN[at + 1 :]) == "token_invalid"


@given(st.integers(0, len(TOKEN)), st.text(BASE64URL + ".=!\n", min_size=1, max_size=8))
def test_no_longer_token_passes(at: int, more: str) -> None:
    assert refusal(TOKEN[:at] + more + TOKEN[at:]) == "token_invalid"


@given(st.integers(0, len(TOKEN) - 1), st.integers(0, len(TOKEN) - 1))
def test_no_shorter_token_passes(start: int, end: int) -> None:
    shorter = TOKEN[start:end]
    assert refusal(shorter) == "token_invalid"
    assert refusal(TOKEN[:start]) == "token_invalid"


@given(st.permutations(range(6)))
def test_no_swapped_parts_pass(order: list[int]) -> None:
    parts = [*TOKEN.split("."), *signed(CLAIMS | {"agents": "all"}, KEYS["old"]).split(".")]
    token = ".".join(parts[index] for index in order[:3])
    if token != TOKEN:
        assert refusal(token) == "token_invalid"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda bytes_: base64.urlsafe_b64encode(bytes_).decode()))
def test_no_noise_passes(noise: str) -> None:
    _, payload, signature = TOKEN.split(".")
    for token in (noise, f"{noise}.{payload}.{signature}"):
        assert refusal(token) == "token_invalid"
