"""Every key in Redis. Braces keep the keys of one Lua script on one cluster node."""

from typing import Literal

WorkerKind = Literal["gateway", "media", "pipeline"]

WIRE_VERSION = 2
"""Of `shared.wire`. Whatever is written there is read by processes of this version only."""

_INBOX_LETTER: dict[str, str] = {"gateway": "g", "media": "m", "pipeline": "p"}


def inbox(kind: WorkerKind, worker_id: str) -> str:
    """Stream: everything that a process has to read, whoever wrote it."""
    return f"antiphon:{_INBOX_LETTER[kind]}:{worker_id}:in"


def jobs(pool: str, zone: str = "", worker: str = "") -> str:
    """List: sessions that wait for a pipeline worker of the pool, for any, or first for one of a zone, or for a certain
    one. Workers of another wire version have other lists. A pool's lists are on one cluster node."""
    everywhere = f"antiphon:jobs:{WIRE_VERSION}:{pool}"
    if worker:
        return f"antiphon:jobs:{{{everywhere}}}:worker:{worker}"
    return f"antiphon:jobs:{{{everywhere}}}:{zone}" if zone else everywhere


def session(session_id: str) -> str:
    """Hash: what another process needs to take the session over."""
    return f"antiphon:s:{{{session_id}}}"


def events(session_id: str) -> str:
    """Stream: the client's last events, for clients that come back."""
    return f"antiphon:s:{{{session_id}}}:events"


def conversation(session_id: str) -> str:
    """List: the conversation, turn by turn."""
    return f"antiphon:s:{{{session_id}}}:conversation"


def turn(session_id: str) -> str:
    """String: the agent's present turn."""
    return f"antiphon:s:{{{session_id}}}:turn"


def worker(kind: WorkerKind, worker_id: str) -> str:
    """Hash with a short TTL: a worker's last report."""
    return f"antiphon:{{workers}}:{kind}:{worker_id}"


def wish(kind: WorkerKind, worker_id: str) -> str:
    """String: what the operator wants of a worker, a `worker_report.Wish`. Expires after the worker."""
    return f"antiphon:{{workers}}:{kind}:{worker_id}:wish"


def workers(kind: WorkerKind) -> str:
    """Sorted set: worker id -> time (ms since the epoch) at which its lease ends."""
    return f"antiphon:{{workers}}:{kind}"


def reservations(kind: WorkerKind, owner: str) -> str:
    """Sorted set: session -> end of its slot lease; the owner is a media worker or a pipeline pool."""
    return f"antiphon:{{workers}}:reserved:{kind}:{owner}"


def sessions(media_worker: str) -> str:
    """Sorted set, all scores 0: the running sessions of a media worker, as `listed_session`."""
    return f"antiphon:sessions:{media_worker}"


def listed_session(session_id: str, created_ms: int) -> str:
    """A member of `sessions`. The order of the members is that of the sessions' beginnings."""
    return f"{created_ms:013d}-{session_id}"


def counter(kind: Literal["key", "agent"], name: str) -> str:
    """Sorted set: session -> end of its lease (ms since the epoch). The running sessions of an API key or an agent."""
    return f"antiphon:{{counters}}:{kind}:{name}"


def token(token_id: str) -> str:
    """String: the signaling connection that uses this session token. Expires with the token."""
    return f"antiphon:token:{token_id}"


def token_key() -> str:
    """String: the key with which all gateways sign tokens, if they have no file of keys."""
    return "antiphon:token-key"


def tokens_made(api_key: str, minute: int) -> str:
    """Counter: tokens made with this API key in this minute since the epoch."""
    return f"antiphon:tokens-made:{api_key}:{minute}"
