"""The STUN and TURN servers of a client, with TURN credentials of its own.

A TURN server with `use-auth-secret` shares a secret with us, and takes every user name that we sign until the time in
the name has passed (draft-uberti-behave-turn-rest-00, as implemented by coturn).
"""

import base64
import hmac
import time
from collections.abc import Callable
from typing import Any

from gateway.secret_files import SecretFile, read_secret
from gateway.settings import GatewaySettings, IceServer
from shared.errors import ConfigError


class IceServers:
    """Raises `ConfigError` if the secret or the URLs are missing, or relays that clients have to use."""

    def __init__(self, settings: GatewaySettings, now_s: Callable[[], float] = time.time) -> None:
        self._configured = settings.gateway_ice_servers
        self._turn_urls = [url.strip() for url in settings.gateway_turn_urls.split(",") if url.strip()]
        self._ttl_s = settings.gateway_turn_ttl_s
        self.transport_policy = settings.gateway_ice_transport_policy
        self._now_s = now_s
        path = settings.gateway_turn_secret_file
        if bool(self._turn_urls) != (path is not None):
            raise ConfigError("ANTIPHON_GATEWAY_TURN_URLS and ANTIPHON_GATEWAY_TURN_SECRET_FILE: set both or neither")
        if self.transport_policy == "relay" and not (self._turn_urls or self._configured):
            raise ConfigError("ANTIPHON_GATEWAY_ICE_TRANSPORT_POLICY=relay needs ANTIPHON_GATEWAY_TURN_URLS")
        self._secret = SecretFile(path, read_secret) if path else None

    def of_client(self, name: str) -> list[dict[str, Any]]:
        """`name` is what the TURN server's log shows of the client: its session, say."""
        servers = list(self._configured)
        if self._secret is not None:
            username, credential = turn_credentials(self._secret.read(), name, int(self._now_s()) + self._ttl_s)
            servers.append(IceServer(urls=self._turn_urls, username=username, credential=credential))
        return [server.model_dump(exclude_none=True) for server in servers]


def turn_credentials(secret: str, name: str, expires_at_s: int) -> tuple[str, str]:
    """User name and password for a TURN server with this `static-auth-secret`."""
    username = f"{expires_at_s}:{name}"
    signature = hmac.digest(secret.encode(), username.encode(), "sha1")  # what TURN servers expect
    return username, base64.b64encode(signature).decode()
