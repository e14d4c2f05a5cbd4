"""Connections to a server of OpenAI's protocol.

All engines of the process with the same server and key share one client.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp

from pipeline_worker.engines.network.account import VendorAccount
from pipeline_worker.engines.network.errors import broken_by
from pipeline_worker.engines.network.http import VendorHttp
from shared.errors import EngineError

_WARM_UP_TIMEOUT_S = 5.0
_END_OF_STREAM_S = 0.5
_MAX_EVENT_BYTES = 2**20


class OpenAiClient:
    """Requests go through `http`; answers are parsed under `shape_explained`."""

    def __init__(self, account: VendorAccount) -> None:
        self.account = account
        self.users = 0
        self.http = VendorHttp(account, {"Authorization": f"Bearer {account.key}"} if account.key else {}, _status_of)
        self._tried = False

    async def warm_up(self, headers: Mapping[str, str]) -> None:
        """Opens a connection and checks the key, once. Raises `EngineError`.

        A server without a list of models, or a key that may not read it, is not an error.
        """
        if self._tried:
            return
        try:
            await self.http.get("/models", headers, _WARM_UP_TIMEOUT_S)
        except EngineError as error:
            if error.code not in ("engine_refused", "engine_busy"):
                raise
        self._tried = True

    async def close(self) -> None:
        """Closes the connections when the last user is gone."""
        self.users -= 1
        if self.users == 0:
            del _clients[self.account]
            await self.http.close()

    def warm(self, headers: Mapping[str, str]) -> None:
        """Opens a connection in the background, if none is idle."""
        self.http.warm("/models", headers)

    async def events(self, answer: aiohttp.ClientResponse) -> AsyncGenerator[Any, None]:
        """The JSON of each server-sent event (WHATWG HTML §9.2), up to "[DONE]".

        Raises `EngineError` for an event that is an error.
        """
        data = b""
        async for line in answer.content:
            if line.startswith(b"data:"):
                data += line[5:].strip()
                if len(data) > _MAX_EVENT_BYTES:
                    raise ValueError("an event without end")
            elif not line.strip() and data:
                if data == b"[DONE]":
                    return
                event, data = json.loads(data), b""
                if isinstance(event, dict) and (error := event.get("error")):
                    raise self.http.refusal(_status_of_event(error), _message_of_event(error))
                yield event

    @contextlib.contextmanager
    def shape_explained(self) -> Iterator[None]:
        """Raises `EngineError` for errors from parsing an answer that breaks the protocol."""
        try:
            yield
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise broken_by(self.account.vendor, error) from error


async def read_rest(events: AsyncGenerator[Any, None]) -> None:
    """Reads a stream to its end, because only then can the next request use its connection."""
    with contextlib.suppress(TimeoutError, EngineError, aiohttp.ClientError, OSError, ValueError):
        async with asyncio.timeout(_END_OF_STREAM_S), aclosing(events):
            async for _ in events:
                pass


_clients: dict[VendorAccount, OpenAiClient] = {}


def share(account: VendorAccount) -> OpenAiClient:
    """The process's client for `account`. Each user closes it."""
    if account not in _clients:
        _clients[account] = OpenAiClient(account)
    client = _clients[account]
    client.users += 1
    return client


def _status_of(status: int, body: str) -> int:
    """A valid key that lacks a permission is refused with 401 or 403 too."""
    return 400 if status in (401, 403) and "scope" in body.lower() else status


def _message_of_event(error: object) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return said if isinstance(said, str) else ""


def _status_of_event(error: object) -> int:
    """The HTTP status that corresponds to an error inside a stream."""
    code = error.get("code") or error.get("type") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return 429 if "rate_limit" in str(code) or "quota" in str(code) else 500
