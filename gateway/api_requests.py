"""What all routes of the API have in common: credentials, bodies, errors."""

import asyncio
import math
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.errors import AntiphonError, PeerError
from shared.validation_errors import first_problem

NOT_CACHED = {"cache-control": "no-store"}
_MAX_BODY_BYTES = 4096
_BODY_TIMEOUT_S = 5.0
_UNION_MEMBERS = ("constrained-str", "list[constrained-str]", "literal['all']")
_STATUS = {
    "api_key_required": 401,
    "api_key_invalid": 401,
    "token_required": 401,
    "token_invalid": 401,
    "token_expired": 401,
    "scope_missing": 403,
    "unknown_worker": 404,
    "unknown_session": 404,
    "media_worker_lost": 409,
    "message_too_large": 413,
    "too_many_tokens": 429,
    "broker_unavailable": 503,
}

Model = TypeVar("Model", bound=BaseModel)


def bearer(request: Request) -> str | None:
    """RFC 6750 §2.1."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


async def body(request: Request) -> bytes:
    """Raises `PeerError`: too long, or too slow."""
    received = b""
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for chunk in request.stream():
                received += chunk
                if len(received) > _MAX_BODY_BYTES:
                    raise PeerError(f"a request has at most {_MAX_BODY_BYTES} bytes", code="message_too_large")
    except TimeoutError:
        raise PeerError(f"the request did not end within {_BODY_TIMEOUT_S:g} s") from None
    return received


def parsed(model: type[Model], fields: bytes | dict[str, Any]) -> Model:
    """A body of JSON, or the fields of a query. Raises `PeerError` that names the problem."""
    try:
        return model.model_validate_json(fields) if isinstance(fields, bytes) else model.model_validate(fields)
    except ValidationError as error:
        problem = first_problem(error, ignore=_UNION_MEMBERS)
        raise PeerError(problem.removeprefix(": ").replace("value error, ", "")) from error


async def answer_error(_: Request, error: Exception) -> Response:
    """For `AntiphonError`s: the same code and message as in signaling."""
    assert isinstance(error, AntiphonError)
    content = {"code": error.code, "message": error.message}
    headers = dict(NOT_CACHED)
    status = _STATUS.get(error.code, 400)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.retry_after_ms is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_ms / 1000))
    return JSONResponse(content, status, headers)
