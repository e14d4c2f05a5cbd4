"""The URL of a broker: one server, a master that Sentinels name, or a cluster.

    redis://[user:password@]host[:port][/database]    rediss://... with TLS, unix:///path/of/socket
    redis+sentinel://[user:password@]host[:port],host[:port].../service[/database]
    redis+cluster://[user:password@]host[:port],host[:port]...

`rediss+sentinel` and `rediss+cluster` are with TLS. All take redis-py's query parameters, such as
`?ssl_ca_certs=/path/of/ca.pem`, and Sentinels `sentinel_password`. Other credentials are those of the servers.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from redis.asyncio import Connection
from redis.asyncio.connection import parse_url

Kind = Literal["server", "sentinel", "cluster"]
_PORTS = {"sentinel": 26_379, "cluster": 6_379}


@dataclass(frozen=True)
class BrokerUrl:
    """`nodes` are the Sentinels, or nodes of the cluster. `options` are arguments of redis-py's connections."""

    kind: Kind
    nodes: list[tuple[str, int]]
    service: str
    connection_class: type[Connection]
    options: dict[str, Any]


def parse_broker_url(url: str) -> BrokerUrl:
    """Raises `ValueError`."""
    scheme, _, rest = url.partition("://")
    base, _, kind = scheme.partition("+")
    if not kind:
        options: dict[str, Any] = dict(parse_url(url))
        return BrokerUrl("server", [], "", options.pop("connection_class", Connection), options)
    if base not in ("redis", "rediss") or kind not in _PORTS:
        raise ValueError(f"no such scheme: {scheme}")
    location, _, query = rest.partition("?")
    authority, _, path = location.partition("/")
    credentials, at, addresses = authority.rpartition("@")
    service, _, database = path.partition("/")
    if kind == "sentinel" and not service:
        raise ValueError("the name of the service is missing after the addresses: /mymaster")
    if kind == "cluster" and path:
        raise ValueError("a cluster has no databases")
    options = dict(parse_url(f"{base}://{credentials}{at}/{database}?{query}"))
    nodes = [_address(address, _PORTS[kind]) for address in addresses.split(",")]
    return BrokerUrl(cast(Kind, kind), nodes, service, options.pop("connection_class", Connection), options)


def without_secrets(url: str) -> str:
    """For messages: neither credentials nor query."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def _address(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("the address of a node is missing")
    return parts.hostname, parts.port or default_port
