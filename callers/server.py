"""A running server: where its signaling is, and the session tokens that it may require."""

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from callers.signaling import NotConnected
from shared.errors import ConfigError

_TIMEOUT_S = 10.0


class Relay(NamedTuple):
    """A TURN server."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class Server:
    """With an API key, each call gets a session token of its own, as one does from the back end of a website.

    Raises `ConfigError` for what is no address or no key.
    """

    def __init__(self, url: str, api_key: str = "") -> None:
        parts = urlsplit(url)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
        if scheme is None or not parts.netloc:
            raise ConfigError(f"{url}: not an address of a server: write http://host:8080 or https://host")
        path = parts.path.rstrip("/")
        self._url = url
        self.signaling_url = f"{scheme}://{parts.netloc}{path}/signaling"
        self._ice_servers_url = f"{parts.scheme}://{parts.netloc}{path}/api/ice-servers"
        self._tokens_url = f"{parts.scheme}://{parts.netloc}{path}/api/tokens"
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise ConfigError("the API key is not one word of ASCII: use what `antiphon api-key` has shown")
        self._api_key = api_key

    async def token(self, agent_id: str) -> str | None:
        """For one session; None without an API key. Raises `NotConnected` with the server's code."""
        if not self._api_key:
            return None
        headers = {"authorization": f"Bearer {self._api_key}"}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, headers=headers) as http:
                response = await http.post(self._tokens_url, json={"agentId": agent_id})
            if response.status_code != 201:
                raise _refusal("no session token", response)
            return str(response.json()["token"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._not_there(error) from error

    async def relays(self, token: str | None) -> list[Relay]:
        """The TURN servers through which callers may have to come. Raises `NotConnected`."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, headers=headers) as http:
                response = await http.get(self._ice_servers_url)
            if response.status_code != 200:
                raise _refusal("no ICE servers", response)
            return [found for server in response.json()["iceServers"] if (found := _relay(server)).urls]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._not_there(error) from error

    def _not_there(self, error: Exception) -> NotConnected:
        return NotConnected(f"no Antiphon at {self._url}: {str(error) or type(error).__name__}")


def _refusal(what: str, response: httpx.Response) -> NotConnected:
    """With the server's own code. Raises `ValueError`, `KeyError` or `TypeError` if what answers is no Antiphon."""
    try:
        answer = response.json()
    except ValueError as error:
        raise ValueError(f"{response.url} has answered with status {response.status_code}") from error
    wait_s = response.headers.get("retry-after", "")
    retry_after_ms = 1000 * int(wait_s) if wait_s.isdecimal() else None
    return NotConnected(f"{what}: {answer['message']}", code=str(answer["code"]), retry_after_ms=retry_after_ms)


def _relay(server: dict[str, Any]) -> Relay:
    """Of an `RTCIceServer`. Without URLs if it is a STUN server."""
    stated = server["urls"]
    urls = [stated] if isinstance(stated, str) else stated
    turn = tuple(url for url in urls if url.startswith(("turn:", "turns:")))
    return Relay(turn, server.get("username"), server.get("credential"))


def read_api_key(file: Path) -> str:
    """Raises `ConfigError`."""
    try:
        api_key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        raise ConfigError(f"{file}: {reason}: write the API key into it") from error
    if not api_key:
        raise ConfigError(f"{file}: empty: write the API key into it")
    return api_key
