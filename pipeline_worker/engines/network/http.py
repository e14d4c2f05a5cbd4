"""HTTP requests to a vendor over connections that stay open."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import httpx

from pipeline_worker.engines.network.account import VendorAccount
from pipeline_worker.engines.network.errors import refusal, transport_error
from pipeline_worker.engines.network.warm_up import WarmUp
from shared.errors import EngineError

_CONNECT_TIMEOUT_S = 5.0
_SILENCE_TIMEOUT_S = 30.0
"""A last resort: engines have shorter deadlines."""
_MOST_CONNECTIONS = 1000
"""More than a worker has sessions."""
_MOST_IDLE_CONNECTIONS = 24
"""The pool checks each of them, with a system call, for every request."""
_WAIT_FOR_CONNECTION_S = 1.0
_IDLE_S = 120.0
"""Longer than callers talk, so that the next turn finds a connection."""

LIMITS = httpx.Limits(
    max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_IDLE_CONNECTIONS, keepalive_expiry=_IDLE_S
)


class VendorHttp:
    """`headers` hold the key. `status_of` corrects the status of a refusal, given its status and body."""

    def __init__(
        self,
        account: VendorAccount,
        headers: Mapping[str, str],
        status_of: Callable[[int, str], int] = lambda status, _: status,
    ) -> None:
        self.vendor = account.vendor
        self._status_of = status_of
        self._warm_up = WarmUp(account.vendor)
        self._client = httpx.AsyncClient(
            base_url=account.base_url,
            headers=dict(headers),
            timeout=httpx.Timeout(_CONNECT_TIMEOUT_S, read=_SILENCE_TIMEOUT_S, pool=_WAIT_FOR_CONNECTION_S),
            limits=LIMITS,
        )

    @contextlib.asynccontextmanager
    async def post(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> AsyncIterator[httpx.Response]:
        """Streams the answer. Leaving early closes the connection, which stops the vendor."""
        with self._translated_errors():
            async with self._client.stream("POST", path, params=dict(query), json=body) as response:
                if not response.is_success:
                    await response.aread()
                    raise self._refusal(response)
                yield response
                self._warm_up.answered()

    async def get(self, path: str) -> None:
        """Raises `EngineError` unless the vendor answers with success."""
        with self._translated_errors():
            response = await self._client.get(path)
        self._warm_up.answered()
        if not response.is_success:
            raise self._refusal(response)

    def warm(self, path: str) -> None:
        """Opens a connection in the background, if none is idle, by a request that costs nothing."""
        self._warm_up.begin(lambda: self.get(path))

    async def close(self) -> None:
        await self._warm_up.close()
        await self._client.aclose()

    def _refusal(self, response: httpx.Response) -> EngineError:
        return refusal(self.vendor, self._status_of(response.status_code, response.text), response.text)

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise transport_error(self.vendor, error) from error
