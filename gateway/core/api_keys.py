"""API keys: long random words that programs of the operator present. Only their SHA-256 is kept.

A plain hash is enough for a random word of 256 bits, which nobody can guess. Passwords would need a slow one.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

Scope = Literal["calls", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

DEFAULT_TOKENS_PER_MINUTE = 60


class ApiKey(NamedTuple):
    """Its owner's rights. `calls` makes session tokens; `admin` is apart and does not include it."""

    sha256: str
    scopes: frozenset[Scope]
    tokens_per_minute: int = DEFAULT_TOKENS_PER_MINUTE
    sessions_at_once: int = 0
    """Of the callers with its tokens; 0: no limit."""


def find_key(api_keys: Mapping[str, ApiKey], presented: str) -> str | None:
    """The name of the key. Takes the same time for every key that is not there."""
    digest = hashlib.sha256(presented.encode()).hexdigest()
    found = None
    for name, api_key in api_keys.items():
        if hmac.compare_digest(digest, api_key.sha256):
            found = name
    return found


def new_api_key(name: str, scope: Scope) -> tuple[str, str]:
    """A new key, and its line in the file of API keys."""
    # The prefix lets scanners for leaked secrets recognise it.
    key = f"antiphon_{secrets.token_urlsafe(32)}"
    return key, f"{name}: {hashlib.sha256(key.encode()).hexdigest()} {scope}"
