"""The HTTP routes of access: session tokens for programs with an API key, ICE servers for callers."""

import asyncio
import math

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access import Access, TokenRequest
from gateway.ice_servers import IceServers
from shared.errors import AntiphonError, PeerError
from shared.ids import new_session_id
from shared.validation_errors import first_problem

_MAX_BODY_BYTES = 4096
_BODY_TIMEOUT_S = 5.0
_UNION_MEMBERS = ("constrained-str", "list[constrained-str]", "literal['all']")
_NOT_CACHED = {"cache-control": "no-store"}
_STATUS = {
    "api_key_required": 401,
    "api_key_invalid": 401,
    "token_required": 401,
    "token_invalid": 401,
    "token_expired": 401,
    "scope_missing": 403,
    "message_too_large": 413,
    "too_many_tokens": 429,
    "broker_unavailable": 503,
}


def access_routes(access: Access, ice_servers: IceServers) -> list[Route]:
    async def make_token(request: Request) -> Response:
        name = access.require_scope("calls", _bearer(request))
        wanted = _parsed(await _body(request))
        token = await access.make_token(name, wanted)
        return JSONResponse({"token": token, "expiresInS": wanted.ttl_s}, 201, _NOT_CACHED)

    async def list_ice_servers(request: Request) -> Response:
        grant = await access.check(_bearer(request))
        servers = ice_servers.of_client(grant.token_id or new_session_id())
        return JSONResponse({"iceServers": servers}, headers=_NOT_CACHED)

    return [Route("/tokens", make_token, methods=["POST"]), Route("/ice-servers", list_ice_servers)]


async def answer_error(_: Request, error: Exception) -> Response:
    """For `AntiphonError`s: the same code and message as in signaling."""
    assert isinstance(error, AntiphonError)
    content = {"code": error.code, "message": error.message}
    headers = dict(_NOT_CACHED)
    status = _STATUS.get(error.code, 400)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.retry_after_ms is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_ms / 1000))
    return JSONResponse(content, status, headers)


def _bearer(request: Request) -> str | None:
    """RFC 6750 §2.1."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MAX_BODY_BYTES:
                    raise PeerError(f"a request has at most {_MAX_BODY_BYTES} bytes", code="message_too_large")
    except TimeoutError:
        raise PeerError(f"the request did not end within {_BODY_TIMEOUT_S:g} s") from None
    return body


def _parsed(body: bytes) -> TokenRequest:
    try:
        return TokenRequest.model_validate_json(body)
    except ValidationError as error:
        problem = first_problem(error, ignore=_UNION_MEMBERS)
        raise PeerError(problem.removeprefix(": ").replace("value error, ", "")) from error
