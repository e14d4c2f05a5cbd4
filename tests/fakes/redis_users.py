"""The Redis users of `deploy/redis/users.acl` with passwords of a test, and the URLs by which services use them."""

import hashlib
import re
from pathlib import Path

from shared.keys import WorkerKind

_TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "redis" / "users.acl"
KINDS: tuple[WorkerKind, ...] = ("gateway", "media", "pipeline")


def password(user: str) -> str:
    return f"{user}'s-password"


def users() -> str:
    """The file as an operator would fill it in."""

    def filled_in(placeholder: re.Match[str]) -> str:
        return "#" + hashlib.sha256(password(placeholder[1].lower()).encode()).hexdigest()

    return re.sub(r"#SHA256_OF_(\w+)", filled_in, _TEMPLATE.read_text(encoding="utf-8"))


def url_of(user: str, url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}:{password(user)}@{rest}"


def urls(url: str) -> dict[WorkerKind, str]:
    """By kind of service."""
    return {kind: url_of(kind, url) for kind in KINDS}
