"""HTTP requests to a vendor over connections that stay open.

aiohttp, not httpx: it parses in C, and an agent's turn over HTTP takes a seventh of the CPU time.
"""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi

from pipeline_worker.engines.network.account import VendorAccount
from pipeline_worker.engines.network.errors import (
    broken_by,
    busy,
    late,
    lost,
    message_in,
    reason_in,
    refusal,
    unreachable,
)
from pipeline_worker.engines.network.warm_up import WarmUp
from shared.errors import EngineError

File = tuple[str, bytes, str]
"""Name, content and content type of a file in a form."""

_CONNECT_TIMEOUT_S = 5.0
_SILENCE_TIMEOUT_S = 30.0
"""A last resort: engines have shorter deadlines."""
_MOST_CONNECTIONS = 1000
"""More than a worker has sessions."""
_IDLE_S = 120.0
"""Longer than callers talk, so that the next turn has a connection."""
_BUFFER_BYTES = 2**20
"""A line of an answer may carry seconds of audio."""
MAX_BODY_BYTES = 2**20
"""Of an answer that is read whole."""
_REFUSAL_BYTES = 2**16


class VendorHttp:
    """`headers` carry the key. `status_of` corrects the status of misleading refusals."""

    def __init__(
        self,
        account: VendorAccount,
        headers: Mapping[str, str],
        status_of: Callable[[int, str], int] = lambda status, _: status,
    ) -> None:
        self.account = account
        self._headers = headers
        self._status_of = status_of
        self._warm_up = WarmUp(account.vendor)
        self._proxy = _proxy_for(account.base_url)
        self._session: aiohttp.ClientSession | None = None
        self._open_requests = 0

    @contextlib.asynccontextmanager
    async def post(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        form: Mapping[str, str | File] | None = None,
        headers: Mapping[str, str] | None = None,
        silence_s: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Streams the answer. Leaving early closes the connection, which stops the vendor.

        `silence_s` is the longest silence of the vendor. Raises `EngineError`.
        """
        async with self._answer("POST", path, silence_s, params=query, json=json, form=form, headers=headers) as answer:
            yield answer

    async def get(self, path: str, headers: Mapping[str, str] | None = None, silence_s: float | None = None) -> None:
        """Raises `EngineError` unless the vendor answers with success."""
        async with self._answer("GET", path, silence_s, headers=headers) as answer:
            await read_at_most(answer, MAX_BODY_BYTES)

    def warm(self, path: str, headers: Mapping[str, str] | None = None) -> None:
        """Opens a connection in the background, if none is idle, by a request that costs nothing."""
        self._warm_up.begin(lambda: self.get(path, headers))

    def refusal(self, status: int, detail: str, reason: str = "") -> EngineError:
        """The error for this HTTP status, or for an event that corresponds to it."""
        key, vendor = self.account.key, self.account.vendor
        if status == 401 and not key:
            return EngineError(
                f"{vendor} wants a key: name the environment variable that holds it in api_key_env",
                code="engine_key_refused",
            )
        return refusal(vendor, status, detail.replace(key, "***") if key else detail, reason)

    async def close(self) -> None:
        """Idempotent."""
        await self._warm_up.close()
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def _answer(
        self, method: str, path: str, silence_s: float | None, **request: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._open_requests >= _MOST_CONNECTIONS:
            raise busy(self.account.vendor)
        self._open_requests += 1
        try:
            with self._errors_explained():
                async with await self._send(method, path, silence_s or _SILENCE_TIMEOUT_S, request) as answer:
                    if not answer.ok:
                        body = (await read_at_most(answer, _REFUSAL_BYTES)).decode(errors="replace")
                        raise self.refusal(self._status_of(answer.status, body), message_in(body), reason_in(body))
                    yield answer
                    self._warm_up.answered()
        finally:
            self._open_requests -= 1

    async def _send(
        self, method: str, path: str, silence_s: float, request: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        """Retries `request` once if a pooled connection turns out to be dead."""
        for attempt in (1, 2):
            try:
                return await self._opened().request(
                    method,
                    self.account.base_url + path,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=silence_s),
                    proxy=self._proxy,
                    **_body(request),
                )
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError):
                if attempt == 2:
                    raise
        raise AssertionError

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S, ssl=_tls()),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=_BUFFER_BYTES,
            )
        return self._session

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        vendor = self.account.vendor
        try:
            yield
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError) as error:
            raise unreachable(vendor, error) from error
        except TimeoutError as error:
            raise late(vendor) from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
            raise lost(vendor, error) from error
        except aiohttp.ClientError as error:
            raise broken_by(vendor, error) from error


async def read_at_most(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body of `answer`, or its beginning."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) >= most_bytes:
            break
    return bytes(body[:most_bytes])


def _body(request: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for aiohttp, made for each attempt, because it accepts a form only once."""
    arguments = dict(request)
    if (form := arguments.pop("form", None)) is not None:
        arguments["data"] = data = aiohttp.FormData()
        for name, value in form.items():
            if isinstance(value, str):
                data.add_field(name, value)
            else:
                filename, content, content_type = value
                data.add_field(name, content, filename=filename, content_type=content_type)
    return arguments


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


@cache
def _tls() -> ssl.SSLContext:
    """Shared: reading the certificates takes 100 ms."""
    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
