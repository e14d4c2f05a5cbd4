"""Resume tokens: who has one may take its session up again.

A token is ``<session>.<family><anchor><own>``, three secrets of 128 bits in base64url. Redis holds hashes of secrets.

Each resume gives the client another token, as OAuth rotates refresh tokens (RFC 9700 §4.14.2). The record then has the
`own` secrets of the new token and of the one that was shown, which stays valid because the answer may be lost. A token
is valid if its `own` is on record, or its `anchor`: a secret that was on record when the token was made. So a new token
counts at once, although its media worker records it later (after a move: when the caller is connected) or, if it is
lost, never.

The `family` is the same for all tokens of a session. It shows that a token was real, and is retired: two parties have
tokens of the session, and one of them is not the caller.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Self

_SECRET_BYTES = 16
_TOKEN = re.compile(r"([A-Za-z0-9_-]{1,64})\." + 3 * r"([A-Za-z0-9_-]{22})")

Verdict = Literal["valid", "retired", "unknown"]
NewSecret = Callable[[], str]


def new_secret() -> str:
    """22 characters."""
    return secrets.token_urlsafe(_SECRET_BYTES)


class ResumeToken(NamedTuple):
    session: str
    family: str
    anchor: str
    own: str

    @classmethod
    def first(cls, session: str, new_secret: NewSecret) -> Self:
        """That of a new session."""
        family, own = new_secret(), new_secret()
        return cls(session, family, own, own)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None if it is no token."""
        match = _TOKEN.fullmatch(text)
        return match and cls(*match.groups())

    def __str__(self) -> str:
        return f"{self.session}.{self.family}{self.anchor}{self.own}"

    def verdict(self, recorded: Sequence[str]) -> Verdict:
        """By the hashes on record. Compares in constant time."""
        if _is_on(recorded, self.own) or _is_on(recorded, self.anchor):
            return "valid"
        return "retired" if _is_on(recorded, self.family) else "unknown"

    def successor(self, recorded: Sequence[str], new_secret: NewSecret) -> Self:
        """The next token for the client that has shown this one, which is valid."""
        anchor = self.own if _is_on(recorded, self.own) else self.anchor
        return self._replace(anchor=anchor, own=new_secret())

    def record(self, shown: "ResumeToken | None" = None) -> tuple[str, ...]:
        """The hashes to record for this token and the one that was shown for it."""
        return tuple(hash_of(secret) for secret in (self.own, *([shown.own] if shown else []), self.family))


def hash_of(secret: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_on(recorded: Sequence[str], secret: str) -> bool:
    hashed = hash_of(secret).encode()
    matches = [hmac.compare_digest(hashed, known.encode()) for known in recorded]
    return any(matches)
