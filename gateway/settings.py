"""Settings of the gateway."""

import ipaddress
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic_settings import NoDecode

from gateway.core.client_address import IpNetwork
from gateway.core.origins import EVERYONE, normal_origin
from shared.settings import Settings


class IceServer(BaseModel):
    """An `RTCIceServer` as the browser takes it (W3C WebRTC §4.2.4)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: str | list[str]
    username: str | None = None
    credential: str | None = None


_ice_server_list: TypeAdapter[list[IceServer]] = TypeAdapter(list[IceServer])


def _from_json(value: object) -> object:
    # pydantic-settings could parse the JSON, but its error would not name the setting.
    return _ice_server_list.validate_json(value) if isinstance(value, str) else value


def _items(value: object) -> object:
    return [item for item in map(str.strip, value.split(",")) if item] if isinstance(value, str) else value


def _networks(value: object) -> object:
    """A single address is a network of one."""
    items = _items(value)
    return [ipaddress.ip_network(item) for item in items] if isinstance(items, list) else items


def _origins(value: object) -> object:
    items = _items(value)
    for origin in items if isinstance(items, list) else []:
        is_exact = "://" in origin and "*" not in origin and normal_origin(origin) == origin
        if origin != EVERYONE and not is_exact:
            raise ValueError(f"{origin!r} is no origin: write it like https://app.example.com or http://localhost:3000")
    return items


class GatewaySettings(Settings):
    """`ANTIPHON_GATEWAY_*`, and the settings of every service."""

    own_prefixes: ClassVar[tuple[str, ...]] = ("GATEWAY_",)

    gateway_host: str = Field("127.0.0.1", description="address on which browsers reach the gateway")
    gateway_port: int = Field(8080, ge=0, le=65535, description="its port (0: any free one)")
    gateway_origins: Annotated[list[str], NoDecode, BeforeValidator(_origins)] = Field(
        [], description="origins whose pages may call, comma-separated, besides the gateway's own; * for all"
    )
    gateway_max_connections: int = Field(2000, ge=1, description="HTTP and WebSocket connections open at once")
    gateway_max_connections_per_address: int = Field(
        256, ge=1, description="of these, from one IPv4 address or IPv6 /64, loopback included"
    )
    gateway_max_sessions_per_minute: int = Field(
        120, ge=0, description="new sessions from one IPv4 address or IPv6 /64 (0: no limit); not for loopback"
    )
    gateway_trusted_proxies: Annotated[list[IpNetwork], NoDecode, BeforeValidator(_networks)] = Field(
        [], description="proxies whose X-Forwarded-For names the caller: addresses or networks, comma-separated"
    )
    gateway_request_timeout_s: float = Field(5.0, gt=0, description="time a connection has to send its next request")
    gateway_max_message_bytes: int = Field(65_536, ge=1000, description="largest signaling message")
    gateway_max_sdp_bytes: int = Field(32_768, ge=1000, description="largest session description in an offer")
    gateway_max_candidates: int = Field(20, ge=0, description="ICE candidates that a client may send per offer")
    gateway_max_errors: int = Field(
        20, ge=1, description="bad messages on one signaling connection before it is closed"
    )
    gateway_offer_timeout_s: float = Field(10.0, gt=0, description="time a client has to send an offer")
    gateway_answer_timeout_s: float = Field(10.0, gt=0, description="time a media worker has to answer an offer")
    gateway_send_timeout_s: float = Field(5.0, gt=0, description="time a client has to receive a signaling message")
    gateway_retry_after_ms: int = Field(5000, ge=0, description="retry time that a refused client is given")
    gateway_ice_servers: Annotated[list[IceServer], NoDecode, BeforeValidator(_from_json)] = Field(
        [], description='STUN and TURN servers for clients, as JSON: [{"urls": "stun:...", "username": "..."}]'
    )
    gateway_ice_transport_policy: Literal["all", "relay"] = Field(
        "all", description="relay: clients connect through a TURN server alone, because media workers are behind it"
    )
    gateway_warm_sessions: int = Field(
        10,
        ge=0,
        description="least free capacity that /scaling asks for, in sessions, until another worker has started",
    )
    gateway_list_agents: bool = Field(True, description="whether /api/agents and errors list the agents")

    # Access, see docs/access.md
    gateway_access: Literal["auto", "open", "token"] = Field(
        "auto",
        description="who may call: open (everybody), token, or auto: open if gateway_host is loopback, else token",
    )
    gateway_api_keys_file: Path | None = Field(None, description="API keys; `antiphon api-key` makes its lines")
    gateway_token_keys_file: Path | None = Field(
        None, description="keys that sign tokens, the first signs (default: a random one, kept in the broker)"
    )
    gateway_token_max_ttl_s: int = Field(3600, ge=10, le=86_400, description="longest time until a token must be used")
    gateway_turn_urls: str = Field(
        "", description="TURN servers with use-auth-secret, such as turn:host, comma-separated"
    )
    gateway_turn_secret_file: Path | None = Field(None, description="their static-auth-secret")
    gateway_turn_ttl_s: int = Field(3600, ge=60, le=86_400, description="time in which a client must connect to them")

    @property
    def token_required(self) -> bool:
        if self.gateway_access == "auto":
            return not is_loopback(self.gateway_host)
        return self.gateway_access == "token"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
