"""The one door to the `openai` SDK: warm connections to a server of OpenAI's protocol, and what goes wrong with them.

All engines of the process that use the same server with the same key share one client and its pool of connections.
"""

import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI, AsyncStream, OpenAIError, omit

from pipeline_worker.engines.network.errors import broken, late, lost, refusal, unreachable
from pipeline_worker.engines.network.warm_up import WarmUp
from shared.errors import EngineError

_CONNECT_TIMEOUT_S = 5.0
_WARM_UP_TIMEOUT_S = 5.0
_MOST_CONNECTIONS = 1000
_MOST_IDLE_CONNECTIONS = 24
"""The pool looks at each of them, with a system call, for every request."""
_IDLE_S = 120.0
"""Longer than callers talk, so that the next turn finds a connection; one that the server has closed is not used."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    """A server, and the key it is used with; empty if it wants none."""

    base_url: str
    key: str = field(repr=False)

    @property
    def server(self) -> str:
        """Its name for people."""
        return urlsplit(self.base_url).netloc


class OpenAiClient:
    """`stream_chat`, and `transcriptions` and `speech` of the SDK: called with `request_options`, under
    `errors_explained`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.users = 0
        limits = httpx.Limits(
            max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_S,
        )
        # The SDK takes either generation of httpx, and its types name the newer one only.
        http: Any = httpx.AsyncClient(limits=limits, follow_redirects=True, verify=_tls())
        self.sdk = AsyncOpenAI(
            api_key=account.key or "none",
            base_url=account.base_url,
            max_retries=0,  # Its retries wait for as long as the server likes; a caller does not. See `send`.
            http_client=http,
        )
        # The SDK imports its parts at their first use: not while a caller waits.
        self.transcriptions = self.sdk.audio.transcriptions
        self.speech = self.sdk.audio.speech.with_streaming_response
        self._background = WarmUp(account.server)
        self._tried = False

    def request_options(self, headers: Mapping[str, str], timeout_s: float) -> dict[str, Any]:
        """Arguments for a method of the SDK. `timeout_s` is the longest silence of the server."""
        authorization = {} if self.account.key else {"Authorization": omit}
        return {
            "extra_headers": {**authorization, **headers},
            "timeout": httpx.Timeout(timeout_s, connect=_CONNECT_TIMEOUT_S),
        }

    async def stream_chat(
        self, body: Mapping[str, Any], extra_headers: Mapping[str, Any], timeout: httpx.Timeout
    ) -> AsyncStream[Any]:
        """The chunks of a chat completion as the server wrote them.

        The SDK's own method makes an object of each, which takes as long as all the rest: with a reply of thirty
        tokens half of what a language model costs this process.
        """
        options: Any = {"headers": extra_headers, "timeout": timeout}
        return await self.sdk.post(
            "/chat/completions", cast_to=object, body=body, options=options, stream=True, stream_cls=AsyncStream[Any]
        )

    async def send(self, request: Callable[[], Awaitable[T]]) -> T:
        """The answer to `request`; once more at once if a connection from the pool turns out to be dead."""
        try:
            answer = await request()
            self._background.answered()
            return answer
        except APIConnectionError as error:
            if not isinstance(error.__cause__, httpx.NetworkError | httpx.RemoteProtocolError) or isinstance(
                error.__cause__, httpx.ConnectError
            ):
                raise
        return await request()

    async def warm_up(self, headers: Mapping[str, str]) -> None:
        """Opens a connection and shows the key, once. Raises `EngineError`.

        A server without a list of models, or a key that may not read it, is no error: they may serve all the same.
        """
        if not self._tried:
            await self._list_models(headers)
            self._tried = True

    def warm(self, headers: Mapping[str, str]) -> None:
        """Sees to it, in the background, that a connection waits for its user."""
        self._background.begin(lambda: self._list_models(headers))

    async def close(self) -> None:
        await self._background.close()
        await self.sdk.close()

    async def _list_models(self, headers: Mapping[str, str]) -> None:
        options = self.request_options(headers, _WARM_UP_TIMEOUT_S)
        request: Any = {"headers": options["extra_headers"], "timeout": options["timeout"]}
        raw: Any = httpx.Response
        with self.errors_explained():
            try:
                await self.sdk.get("/models", cast_to=raw, options=request)
            except APIStatusError as error:
                key_refused = error.status_code in (401, 403) and "scope" not in _detail(error).lower()
                if key_refused or error.status_code >= 500:
                    raise
        self._background.answered()

    @contextlib.contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Errors of the SDK, and of answers that are not what the protocol says, as `EngineError`."""
        try:
            yield
        except (OpenAIError, httpx.HTTPError, ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> EngineError:
        server = self.account.server
        match error:
            case APIStatusError():
                return self._refusal(error.status_code, _detail(error))
            case APIConnectionError() | httpx.HTTPError():
                cause = error.__cause__
                return _connection_error(server, cause if isinstance(cause, httpx.HTTPError) else error)
            case APIError():  # in the middle of a stream
                return self._refusal(_status_of_event(error.body), _detail(error))
            case _:
                return broken(server, f"{type(error).__name__}: {error}")

    def _refusal(self, status: int, detail: str) -> EngineError:
        key = self.account.key
        if status == 401 and not key:
            return EngineError(
                f"{self.account.server} wants a key: name the environment variable that holds it in api_key_env",
                code="engine_key_refused",
            )
        return refusal(self.account.server, status, detail.replace(key, "***") if key else detail)


_clients: dict[Account, OpenAiClient] = {}


def share(account: Account) -> OpenAiClient:
    """The process's client for `account`; give it back by `give_back`."""
    if account not in _clients:
        _clients[account] = OpenAiClient(account)
    client = _clients[account]
    client.users += 1
    return client


async def give_back(client: OpenAiClient) -> None:
    """The last user closes the connections."""
    client.users -= 1
    if client.users == 0:
        del _clients[client.account]
        await client.close()


@cache
def _tls() -> ssl.SSLContext:
    """One for all: reading the certificates takes a tenth of a second."""
    return httpx.create_ssl_context()


def _connection_error(server: str, cause: Exception) -> EngineError:
    match cause:
        case httpx.PoolTimeout():
            return EngineError(f"all connections to {server} are in use", code="engine_busy")
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError() | httpx.UnsupportedProtocol():
            return unreachable(server, cause)
        case httpx.TimeoutException():
            return late(server)
        case _:
            return lost(server, cause)


def _detail(error: APIError) -> str:
    """What the server said, unless it is a web page. Servers made with FastAPI wrap it once more."""
    said = error.body.get("detail", error.body) if isinstance(error.body, dict) else error.body
    said = said.get("message") if isinstance(said, dict) else said
    return said if isinstance(said, str) and not said.lstrip().startswith("<") else ""


def _status_of_event(body: object) -> int:
    """The HTTP status that an error in a stream would have had in place of it."""
    code = body.get("code") or body.get("type") if isinstance(body, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return 429 if "rate_limit" in str(code) or "quota" in str(code) else 500
