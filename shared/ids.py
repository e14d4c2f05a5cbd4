"""Ids of sessions and workers: random, unguessable, safe in a Redis key, a log line and a URL."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def new_session_id() -> str:
    """A session's id: 128 bits of randomness, because whoever knows it can send messages for the session."""
    return "s" + _random_word(22)


def new_worker_id(kind: str, host: str) -> str:
    """A worker process's id. A restarted process gets a new one, so it never reads its predecessor's inbox."""
    readable = "".join(c if c in _ALPHABET else "-" for c in host)[:32]
    return f"{kind}-{readable}-{_random_word(6)}"


def _random_word(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
