"""Which web pages may use this gateway.

A browser lets any page open a WebSocket to any server. It only names the page's origin, so the server must check it
(RFC 6455 §10.2). A page whose own name resolves to our address (DNS rebinding) shares our origin, but its name is in
the Host header. A server that only this machine can reach knows its own names, so it checks them.

Programs that are not browsers send no Origin, or a false one. This protects the people who use browsers; it is not
access control.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, urlsplit

from gateway.core.client_address import is_loopback

EVERYONE = "*"
_OF_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
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
        return (_split(f"//{host}").hostname or "") in self._names or _names_this_machine(host)


def is_local_request(client: str, headers: Mapping[str, str]) -> bool:
    """Whether a program of this machine, or our own page in a browser of it, sends this. Names are in lower case.

    What a proxy passes on may come from anywhere. A browser says which page makes a request, even one that has no
    Origin (Fetch Metadata: Sec-Fetch-Site).
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    passed_on = any(name in headers for name in _OF_PROXIES)
    own_page = headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    same = origin is None or _is_same(origin, host)
    return is_loopback(client) and _names_this_machine(host) and same and own_page and not passed_on


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


def _names_this_machine(host: str) -> bool:
    name = _split(f"//{host}").hostname or ""
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)
