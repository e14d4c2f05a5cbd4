"""Connections to Redis, tuned for real time: short deadlines, no hidden retries (they blocked for 58 s when tried).

A data connection times out after half a second and leaves retrying to its owner. A blocking connection has one reader
and blocks for less than its socket timeout. The same holds for a server, Sentinel and a cluster (`broker_url`).
"""

from typing import Any, cast

import redis.asyncio
from redis.asyncio import SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from shared.errors import BrokerError
from shared.io.broker_url import BrokerUrl, parse_broker_url, without_secrets
from shared.io.cluster import Cluster
from shared.io.connections import BROKER_FAILURES as BROKER_FAILURES
from shared.io.connections import CommandRefused as CommandRefused
from shared.io.connections import MemoryFull as MemoryFull
from shared.io.connections import Pool, SentinelPool, dependable

Redis = redis.asyncio.Redis

BLOCK_MS = 1_500
_DATA_TIMEOUT_S = 0.5
_BLOCKING_TIMEOUT_S = 4.0
_CLUSTER_CONNECTIONS = 256
"""Per node. Beyond it a cluster's client refuses commands, where the others let them wait."""
OLDEST_VERSION = (7, 0)


def connect(url: str) -> Redis:
    """For commands that do not block. Shared by the tasks of a process."""
    return _client(url, _DATA_TIMEOUT_S, max_connections=16)


def connect_blocking(url: str) -> Redis:
    """For one reader that blocks up to `BLOCK_MS`."""
    return _client(url, _BLOCKING_TIMEOUT_S, max_connections=2)


def _client(url: str, socket_timeout_s: float, max_connections: int) -> Redis:
    deadlines: dict[str, Any] = {
        "socket_timeout": socket_timeout_s,
        "socket_connect_timeout": 2.0,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        # They let the server extend the deadlines, and keep the pool from noticing that a connection is closed.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    try:
        parsed = parse_broker_url(url)
        if parsed.kind == "cluster":
            # It has the methods of `Redis`, but no common base class with them.
            return cast(Redis, _cluster(parsed, deadlines))
        waiting: dict[str, Any] = {"timeout": socket_timeout_s, "max_connections": max_connections}
        pool = (
            _sentinel_pool(parsed, deadlines, waiting)
            if parsed.kind == "sentinel"
            else Pool(connection_class=dependable(parsed.connection_class), **deadlines, **waiting, **parsed.options)
        )
        pool.make_connection()  # type: ignore[no-untyped-call] # raises if an option of the URL is unknown
        return Redis.from_pool(pool)
    except (ValueError, TypeError) as error:
        raise BrokerError(f"ANTIPHON_REDIS_URL is not usable: {error}", code="broker_url") from error


def _cluster(url: BrokerUrl, deadlines: dict[str, Any]) -> Cluster:
    return Cluster(
        dependable(url.connection_class),
        startup_nodes=[ClusterNode(*node) for node in url.nodes],
        ssl=issubclass(url.connection_class, SSLConnection),
        max_connections=_CLUSTER_CONNECTIONS,
        **deadlines,
        **url.options,
    )


def _sentinel_pool(url: BrokerUrl, deadlines: dict[str, Any], waiting: dict[str, Any]) -> SentinelPool:
    options = dict(url.options)
    with_tls = issubclass(url.connection_class, SSLConnection)
    sentinel_options = {name: value for name, value in options.items() if name.startswith("ssl_")}
    sentinel_options |= {"ssl": with_tls, "password": options.pop("sentinel_password", None)}
    sentinel = Sentinel(url.nodes, sentinel_kwargs=deadlines | sentinel_options)  # type: ignore[no-untyped-call]
    managed = SentinelManagedSSLConnection if with_tls else SentinelManagedConnection
    options |= {"connection_class": dependable(managed), **deadlines, **waiting}
    return SentinelPool(url.service, sentinel, **options)  # type: ignore[no-untyped-call]


async def check_broker(client: Redis, url: str) -> str:
    """The server's version. Raises `BrokerError` if it is away, refuses us, or is too old."""
    try:
        info = await client.info("server")
    except BROKER_FAILURES as error:
        # redis-py would show its client objects.
        reason = "its Sentinels name no master" if isinstance(error, MasterNotFoundError) else error
        raise BrokerError(
            f"no Redis at {without_secrets(url)} ({reason}): start one, or set ANTIPHON_REDIS_URL"
        ) from error
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        raise BrokerError(f"Redis {version} is too old: use {'.'.join(map(str, OLDEST_VERSION))} or newer")
    return version
