"""Decides which requests reach the application: by the page that sends them and, behind a proxy, by their number."""

import asyncio
from dataclasses import dataclass
from functools import partial

from prometheus_client import Counter
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.core.client_address import TrustedProxies, address_block
from gateway.core.connection_limits import SLOTS, ConnectionLimits, Slot
from gateway.core.origins import OriginPolicy
from gateway.core.signaling_rules import TRY_AGAIN_LATER
from shared.io.logs import get_logger

RETRY_AFTER_S = 5
_SHOWN = 200
_MESSAGES = {
    "host_not_allowed": "this server has no such name: open it as localhost, or list it in ANTIPHON_GATEWAY_ORIGINS",
    "origin_not_allowed": "pages of this origin may not use this server: list it in ANTIPHON_GATEWAY_ORIGINS",
    "too_many_connections": "too many connections from this address",
}

_refused = Counter("antiphon_gateway_refused_requests_total", "Requests that were not let in, by code", ["code"])

log = get_logger()


@dataclass(frozen=True)
class EntryRules:
    """What the guard asks."""

    origins: OriginPolicy
    proxies: TrustedProxies
    proxied: ConnectionLimits
    """The requests and WebSockets that proxies pass on; connections of callers are counted by `http_server`."""


class Guard:
    """ASGI middleware. It puts the caller's address into `scope["client"]`, with port 0 behind a proxy."""

    def __init__(self, app: ASGIApp, rules: EntryRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host"), headers.get("origin")
        code = self._rules.origins.refusal(host, origin)
        if code is not None:
            log.info(code, origin=_shown(origin), host=_shown(host), path=_shown(scope["path"]))
            await _refuse(code, 403, scope, receive, send)
            return
        proxy, _ = scope.get("client") or ("", 0)
        if proxy not in self._rules.proxies:
            await self._app(scope, receive, send)
            return
        caller = self._rules.proxies.caller(proxy, ",".join(headers.getlist("x-forwarded-for")))
        await self._pass_on({**scope, "client": (caller, 0)}, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller, _ = scope["client"]
        try:
            async with asyncio.timeout(None) as until_evicted:
                evict = partial(until_evicted.reschedule, 0) if scope["type"] == "websocket" else None
                slot = self._rules.proxied.take(address_block(caller), evict)
                if not isinstance(slot, Slot):
                    await _refuse("too_many_connections", 429, scope, receive, send)
                    return
                try:
                    await self._app({**scope, SLOTS: (*scope.get(SLOTS, ()), slot)}, receive, send)
                finally:
                    slot.free()
        except TimeoutError:
            if not until_evicted.expired():
                raise
            _refused.labels("too_many_connections").inc()
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": "too_many_connections"})


def _shown(text: str | None) -> str | None:
    """Short, and without characters that a terminal would obey."""
    return text and ascii(text[:_SHOWN])[1:-1]


async def _refuse(code: str, status: int, scope: Scope, receive: Receive, send: Send) -> None:
    _refused.labels(code).inc()
    headers = {"retry-after": str(RETRY_AFTER_S)} if status == 429 else {}
    response = JSONResponse({"code": code, "message": _MESSAGES[code]}, status, headers)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)
