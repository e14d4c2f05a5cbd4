"""The only user of the `openai` SDK: warm connections to a server of OpenAI's protocol, and its errors as ours.

All engines of the process with the same server and key share one client and its connections.
"""

import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import httpx
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI, AsyncStream, OpenAIError, omit

from pipeline_worker.engines.network.account import VendorAccount
from pipeline_worker.engines.network.errors import broken, refusal, transport_error
from pipeline_worker.engines.network.http import LIMITS
from pipeline_worker.engines.network.warm_up import WarmUp
from shared.errors import EngineError

_CONNECT_TIMEOUT_S = 5.0
_WARM_UP_TIMEOUT_S = 5.0

T = TypeVar("T")


class OpenAiClient:
    """`stream_chat`, and `transcriptions` and `speech` of the SDK: called with `request_options`, under
    `translated_errors`."""

    def __init__(self, account: VendorAccount) -> None:
        self.account = account
        self.users = 0
        # The SDK takes either generation of httpx, and its types name the newer one only.
        http: Any = httpx.AsyncClient(limits=LIMITS, follow_redirects=True, verify=_tls())
        self.sdk = AsyncOpenAI(
            api_key=account.key or "none",
            base_url=account.base_url,
            max_retries=0,  # its retries wait as long as the server asks for; see `send`
            http_client=http,
        )
        # The SDK imports its parts at their first use: do it now, not while a caller waits.
        self.transcriptions = self.sdk.audio.transcriptions
        self.speech = self.sdk.audio.speech.with_streaming_response
        self._background = WarmUp(account.vendor)
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

        The SDK's own method makes an object of each, which takes half of a language model's time in this process.
        """
        options: Any = {"headers": extra_headers, "timeout": timeout}
        return await self.sdk.post(
            "/chat/completions", cast_to=object, body=body, options=options, stream=True, stream_cls=AsyncStream[Any]
        )

    async def send(self, request: Callable[[], Awaitable[T]]) -> T:
        """The answer to `request`, retried once if a pooled connection turns out to be dead."""
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
        """Opens a connection and tries the key, once. Raises `EngineError`.

        A server without a list of models, or a key that may not read it, is no error: it may still serve.
        """
        if not self._tried:
            await self._list_models(headers)
            self._tried = True

    def warm(self, headers: Mapping[str, str]) -> None:
        """Opens a connection in the background, if none is idle."""
        self._background.begin(lambda: self._list_models(headers))

    async def close(self) -> None:
        await self._background.close()
        await self.sdk.close()

    async def _list_models(self, headers: Mapping[str, str]) -> None:
        options = self.request_options(headers, _WARM_UP_TIMEOUT_S)
        request: Any = {"headers": options["extra_headers"], "timeout": options["timeout"]}
        raw: Any = httpx.Response
        with self.translated_errors():
            try:
                await self.sdk.get("/models", cast_to=raw, options=request)
            except APIStatusError as error:
                key_refused = error.status_code in (401, 403) and "scope" not in _detail(error).lower()
                if key_refused or error.status_code >= 500:
                    raise
        self._background.answered()

    @contextlib.contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Raises errors of the SDK, and of answers that break the protocol, as `EngineError`."""
        try:
            yield
        except (OpenAIError, httpx.HTTPError, ValueError, TypeError, AttributeError, LookupError) as error:
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> EngineError:
        server = self.account.vendor
        match error:
            case APIStatusError():
                return self._refusal(error.status_code, _detail(error))
            case APIConnectionError() | httpx.HTTPError():
                cause = error.__cause__
                return transport_error(server, cause if isinstance(cause, httpx.HTTPError) else error)
            case APIError():  # in the middle of a stream
                return self._refusal(_status_of_event(error.body), _detail(error))
            case _:
                return broken(server, f"{type(error).__name__}: {error}")

    def _refusal(self, status: int, detail: str) -> EngineError:
        key = self.account.key
        if status == 401 and not key:
            return EngineError(
                f"{self.account.vendor} wants a key: name the environment variable that holds it in api_key_env",
                code="engine_key_refused",
            )
        return refusal(self.account.vendor, status, detail.replace(key, "***") if key else detail)


_clients: dict[VendorAccount, OpenAiClient] = {}


def share(account: VendorAccount) -> OpenAiClient:
    """The process's client for `account`. Release it by `give_back`."""
    if account not in _clients:
        _clients[account] = OpenAiClient(account)
    client = _clients[account]
    client.users += 1
    return client


async def give_back(client: OpenAiClient) -> None:
    """Closes the connections when the last user is gone."""
    client.users -= 1
    if client.users == 0:
        del _clients[client.account]
        await client.close()


@cache
def _tls() -> ssl.SSLContext:
    """Shared: reading the certificates takes 100 ms."""
    return httpx.create_ssl_context()


def _detail(error: APIError) -> str:
    """The server's message, unless it is a web page. FastAPI servers wrap it once more."""
    said = error.body.get("detail", error.body) if isinstance(error.body, dict) else error.body
    said = said.get("message") if isinstance(said, dict) else said
    return said if isinstance(said, str) and not said.lstrip().startswith("<") else ""


def _status_of_event(body: object) -> int:
    """The HTTP status that corresponds to an error inside a stream."""
    code = body.get("code") or body.get("type") if isinstance(body, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return 429 if "rate_limit" in str(code) or "quota" in str(code) else 500
