"""A tool that is an HTTP request to a service of the operator's."""

import json
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx

from pipeline_worker.tools.outcome import Outcome, ToolContext, ToolFailure
from shared.agent_tools import PLACEHOLDER, Tool, Webhook
from shared.errors import ConfigError

MAX_ANSWER_BYTES = 64_000
_ERROR_CHARACTERS = 500
_CONNECTIONS = 100
_IN_QUERY = ("GET", "DELETE")
"""Methods whose requests have no body."""


def new_client() -> httpx.AsyncClient:
    """The HTTP client of a process. It keeps no cookies, which would leak from one caller to another."""
    return httpx.AsyncClient(
        timeout=None,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS // 5),
    )


class WebhookTool:
    """Arguments fill the URL's placeholders; the rest become the query (GET, DELETE) or the JSON body."""

    def __init__(self, tool: Tool, client: httpx.AsyncClient, environment: Mapping[str, str]) -> None:
        """Raises `ConfigError` if its secret is missing."""
        assert tool.webhook is not None
        self._webhook = tool.webhook
        self._client = client
        # Not compressed: a small answer could unpack to a huge one.
        self._headers = {**tool.webhook.headers, **_secret(tool.webhook, environment), "Accept-Encoding": "identity"}

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Outcome:
        url = request_url(self._webhook, arguments)
        headers = {**self._headers, "Antiphon-Session": context.session_id, "Antiphon-Agent": context.agent_id}
        body = None if self._webhook.method in _IN_QUERY else _rest(self._webhook, arguments)
        try:
            async with self._client.stream(self._webhook.method, url, headers=headers, json=body) as response:
                return Outcome(await _read(response))
        except (httpx.ConnectError, httpx.InvalidURL) as error:
            raise ToolFailure("the service cannot be reached") from error
        except httpx.HTTPError as error:
            raise ToolFailure(
                "the service broke off its answer; it is not known whether it did what was asked"
            ) from error


def _secret(webhook: Webhook, environment: Mapping[str, str]) -> dict[str, str]:
    if webhook.secret_env is None:
        return {}
    secret = environment.get(webhook.secret_env, "").strip()
    if not secret:
        raise ConfigError(f"webhook.secret_env: {webhook.secret_env} is not set: set it to the service's key")
    if not secret.isascii() or not secret.isprintable():
        raise ConfigError(
            f"webhook.secret_env: {webhook.secret_env} is not one line of ASCII: set it to the service's key"
        )
    is_bearer = webhook.secret_header.lower() == "authorization"
    return {webhook.secret_header: f"Bearer {secret}" if is_bearer else secret}


def request_url(webhook: Webhook, arguments: Mapping[str, Any]) -> str:
    """The URL with the arguments. An argument in the path stays within its segment and is not empty."""
    url = PLACEHOLDER.sub(lambda found: quote(_plain(found[1], arguments[found[1]]), safe=""), webhook.url)
    for was, segment in zip(urlsplit(webhook.url).path.split("/"), urlsplit(url).path.split("/"), strict=True):
        if was != segment and segment in ("", ".", ".."):
            raise ToolFailure(f"'{segment}' cannot be looked up")
    if webhook.method in _IN_QUERY and (rest := _rest(webhook, arguments)):
        url += ("&" if "?" in url else "?") + urlencode(_query(rest))
    return url


def _rest(webhook: Webhook, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in webhook.placeholders}


def _plain(name: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str | int | float):
        return str(value)
    raise ToolFailure(f"'{name}' must be text or a number")


def _query(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A list becomes repeated parameters, `null` is left out, an object becomes JSON."""
    return [
        (name, json.dumps(item) if isinstance(item, dict | list) else _plain(name, item))
        for name, value in arguments.items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]


async def _read(response: httpx.Response) -> str:
    """The answer as text, cut to what a model should read."""
    if response.is_redirect:
        raise ToolFailure(f"the service answered with a redirect ({response.status_code}), which is not followed")
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= MAX_ANSWER_BYTES:
            break
    kind = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    is_text = kind.startswith("text/") or kind.endswith(("json", "xml")) or kind == "application/x-www-form-urlencoded"
    if not is_text or response.headers.get("content-encoding", "identity") != "identity":
        text = f"(an answer that is not text, but {kind[:80]})"
    else:
        text = body[:MAX_ANSWER_BYTES].decode(errors="replace").strip()
    if response.is_error:
        raise ToolFailure(f"the service answered with the error {response.status_code}: {text[:_ERROR_CHARACTERS]}")
    return text or "done"
