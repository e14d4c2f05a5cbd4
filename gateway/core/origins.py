"""Which web pages may use this gateway.

A browser lets any page open a WebSocket to any server. It only names the page's origin, so the server must check it
(RFC 6455 §10.2). A page whose own name resolves to our address (DNS rebinding) shares our origin, but its name is in
the Host header. A server that only this machine can reach knows its own names, so it checks them.

Programs that are not browsers send no Origin, or a false one. This protects the people who use browsers; it is not
access control.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

EVERYONE = "*"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class OriginPolicy:
    """Admits pages of the same origin, and of the origins in `allowed`, which may contain `EVERYONE`."""

    def __init__(self, allowed: Iterable[str], loopback_only: bool) -> None:
        self._allowed = frozenset(map(normal_origin, allowed))
        self._names = {urlsplit(origin).hostname for origin in self._allowed}
        self._loopback_only = loopback_only

    def refusal(self, host: str | None, origin: str | None) -> str | None:
        """The code of the error for a request with these headers, or None if it may pass."""
        if EVERYONE in self._allowed:
            return None
        if self._loopback_only and host is not None and not self._is_own_name(host):
            return "host_not_allowed"
        if origin is None or normal_origin(origin) in self._allowed or _is_same(origin, host):
            return None
        return "origin_not_allowed"

    def _is_own_name(self, host: str) -> bool:
        name = _split(f"//{host}").hostname or ""
        return name in self._names or name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def normal_origin(origin: str) -> str:
    """As browsers write it: lower case, no default port, no path (RFC 6454 §6.2)."""
    split = _split(origin.strip())
    if not split.scheme or not split.hostname:
        return origin.strip()
    name = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    port = "" if _port(split, split.scheme) == _DEFAULT_PORTS.get(split.scheme) else f":{split.port}"
    return f"{split.scheme}://{name}{port}"


def _is_same(origin: str, host: str | None) -> bool:
    page, server = _split(origin), _split(f"//{host or ''}")
    # TLS may end at a proxy, so the scheme that the page was loaded with is the page's.
    return bool(page.hostname) and (page.hostname, _port(page, page.scheme)) == (
        server.hostname,
        _port(server, page.scheme),
    )


def _port(split: SplitResult, scheme: str) -> int | None:
    return split.port or _DEFAULT_PORTS.get(scheme)


def _split(url: str) -> SplitResult:
    """`urlsplit` for what strangers write: nothing where it would raise."""
    try:
        split = urlsplit(url)
        split.port  # noqa: B018 (it raises for a port that is no number)
    except ValueError:
        return urlsplit("")
    return split


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
