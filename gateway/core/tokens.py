"""Session tokens: JSON Web Tokens (RFC 7519) that let one caller open one session.

The algorithm is HS256, whatever the header of a token says (RFC 8725 §3.1). Its `kid` names the key. A token is read
only in the spelling in which it was signed, although others of base64url decode to the same bytes.
"""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import jwt
from jwt.types import Options
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import PeerError

KeyRing = Mapping[str, str]
"""Signing keys by `kid`. The first signs, all verify."""

MAX_TOKEN_LENGTH = 4096
CLOCK_SKEW_S = 5
"""How far the clocks of two gateways may differ."""
LONGEST_SESSION_S = 86_400
SHORTEST_KEY = 32
"""Characters. RFC 7518 §3.2: a key of HS256 is at least as long as its hash."""

_ALGORITHM = "HS256"
_ISSUER = "antiphon"
_AUDIENCE = "antiphon-session"
_SPELLING = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{43}", re.ASCII)
"""PyJWT would also take padding."""


class Grant(NamedTuple):
    """What a caller may do. `agents`: None for all. A session lasts as long as both grant and agent allow."""

    agents: frozenset[str] | None = None
    max_duration_s: int = LONGEST_SESSION_S
    token_id: str = ""
    expires_at_s: int = 0
    api_key: str = ""
    metadata: Mapping[str, str] = {}

    def allows(self, agent_id: str) -> bool:
        return self.agents is None or agent_id in self.agents


OPEN = Grant()
"""What everybody may do who needs no token."""


class _Claims(BaseModel):
    """The names are those on the wire. Times are NumericDate (RFC 7519 §2), but whole seconds."""

    model_config = ConfigDict(strict=True, frozen=True, populate_by_name=True)

    jti: str = Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")
    nbf: int = Field(ge=0, lt=2**40)
    exp: int = Field(ge=0, lt=2**40)
    agents: Literal["all"] | list[str]
    max_duration_s: int = Field(LONGEST_SESSION_S, alias="maxDurationS", ge=1)
    api_key: str = Field("", alias="apiKey")
    metadata: dict[str, str] = {}


def sign(grant: Grant, keys: KeyRing, now_s: int) -> str:
    """A token for `grant`, valid from `now_s` until the grant's `expires_at_s`."""
    claims = _Claims(
        jti=grant.token_id,
        nbf=now_s,
        exp=grant.expires_at_s,
        agents="all" if grant.agents is None else sorted(grant.agents),
        max_duration_s=grant.max_duration_s,
        api_key=grant.api_key,
        metadata=dict(grant.metadata),
    ).model_dump(by_alias=True, exclude_defaults=True)
    kid, key = next(iter(keys.items()))
    return jwt.encode({"iss": _ISSUER, "aud": _AUDIENCE, **claims}, key, _ALGORITHM, headers={"kid": kid})


def read(token: str, keys: KeyRing, now_s: float) -> Grant:
    """What `token` grants now. Raises `PeerError` with code `token_invalid` or `token_expired`."""
    claims = _verified(token, keys)
    if claims.exp + CLOCK_SKEW_S <= now_s:
        raise PeerError("the token has expired: ask for a new one", code="token_expired")
    if claims.nbf - CLOCK_SKEW_S > now_s:
        raise PeerError("the token is not valid yet: compare the clocks of the servers", code="token_invalid")
    return Grant(
        agents=None if claims.agents == "all" else frozenset(claims.agents),
        max_duration_s=claims.max_duration_s,
        token_id=claims.jti,
        expires_at_s=claims.exp,
        api_key=claims.api_key,
        metadata=claims.metadata,
    )


def _verified(token: str, keys: KeyRing) -> _Claims:
    try:
        if len(token) > MAX_TOKEN_LENGTH or not _SPELLING.fullmatch(token):
            raise jwt.DecodeError
        key = keys.get(jwt.get_unverified_header(token).get("kid", ""))
        if key is None:
            raise jwt.InvalidKeyError
        # The times are compared by `read`, whose clock is its caller's.
        no_times: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        claims = jwt.decode(token, key, [_ALGORITHM], no_times, audience=_AUDIENCE, issuer=_ISSUER)
        return _Claims.model_validate(claims)
    except (jwt.PyJWTError, ValidationError) as error:
        # Nothing more precise: who tries tokens need not know how far they came.
        raise PeerError("the token is not one of ours: ask for a new one", code="token_invalid") from error
