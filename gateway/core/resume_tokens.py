"""Resume tokens: who has one may take its session up again. Redis holds only their hashes.

A token is ``<session>.<secret>``, with 256 bits of randomness in base64url. Each resume issues another one and keeps
the one that was shown, so a client that never got the answer is not locked out.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence

_SECRET_BYTES = 32
_TOKEN = re.compile(r"([A-Za-z0-9_-]{1,64})\.[A-Za-z0-9_-]{43}")


def new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def session_of(token: str) -> str | None:
    """The session that a token names; None if it is no token."""
    match = _TOKEN.fullmatch(token)
    return match and match[1]


def hash_of(token: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


class ResumeTokens:
    """The tokens given on one connection. The record has the last one only once the client's media is connected."""

    def __init__(self, new_secret: Callable[[], str]) -> None:
        self._new_secret = new_secret
        self._given: list[str] = []

    def new(self, session: str) -> str:
        return f"{session}.{self._new_secret()}"

    def give(self, token: str) -> str:
        """The client gets this token."""
        self._given.append(hash_of(token))
        return token

    def accept(self, token: str, recorded: Sequence[str]) -> bool:
        """Whether it is one of ours, or its hash is recorded. Compares in constant time."""
        hashed = hash_of(token).encode()
        matches = [hmac.compare_digest(hashed, known.encode()) for known in (*recorded, *self._given)]
        return any(matches)
