"""A running server: where its signaling is, and the session tokens that it may require."""

from pathlib import Path
from urllib.parse import urlsplit

import httpx

from callers.signaling import NotConnected
from shared.errors import ConfigError

_TIMEOUT_S = 10.0


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
        self.signaling_url = f"{scheme}://{parts.netloc}{path}/signaling"
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
            answer = response.json()
            if response.status_code == 201:
                return str(answer["token"])
            code, message = str(answer["code"]), str(answer["message"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            reason = str(error) or type(error).__name__
            raise NotConnected(f"no session token from {self._tokens_url}: {reason}") from error
        wait_s = response.headers.get("retry-after", "")
        retry_after_ms = 1000 * int(wait_s) if wait_s.isdecimal() else None
        raise NotConnected(f"no session token: {message}", code=code, retry_after_ms=retry_after_ms)


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
