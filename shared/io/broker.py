"""Connections to Redis, tuned for real time: short deadlines, no hidden retries (they blocked for 58 s when tried).

A data connection times out after half a second and leaves retrying to its owner. A blocking connection has one reader
and blocks for less than its socket timeout.
"""

import asyncio
from collections.abc import Iterable

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from shared.errors import BrokerError

Redis = redis.asyncio.Redis
BROKER_FAILURES = (RedisError, OSError, TimeoutError)
"""What a broken, slow or absent broker makes a command raise."""

BLOCK_MS = 1_500
_DATA_TIMEOUT_S = 0.5
_BLOCKING_TIMEOUT_S = 4.0
OLDEST_VERSION = (7, 0)


def connect(url: str) -> Redis:
    """For commands that do not block. Shared by the tasks of a process."""
    return _client(url, _DATA_TIMEOUT_S, max_connections=16)


def connect_blocking(url: str) -> Redis:
    """For one reader that blocks up to `BLOCK_MS`."""
    return _client(url, _BLOCKING_TIMEOUT_S, max_connections=2)


def _client(url: str, socket_timeout_s: float, max_connections: int) -> Redis:
    try:
        pool = _Pool.from_url(
            url,
            timeout=socket_timeout_s,
            socket_timeout=socket_timeout_s,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            max_connections=max_connections,
            # While enabled, the default, they keep the pool from noticing that the broker has closed a connection.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        pool.connection_class = type("Connection", (_Cancellable, pool.connection_class), {})
        return Redis.from_pool(pool)
    except ValueError as error:
        raise BrokerError(f"ANTIPHON_REDIS_URL is not usable: {error}", code="broker_url") from error


class _Pool(redis.asyncio.BlockingConnectionPool):
    """Waits for a free connection, where redis-py's default pool raises. Closes the idle ones when one has failed.

    The idle ones are likely dead too, which the socket does not show when the broker's machine is lost. Otherwise each
    would cost another command and its timeout.
    """

    async def release(self, connection: AbstractConnection) -> None:
        failed = not connection.is_connected
        await super().release(connection)
        if failed:
            for idle in self._available_connections:
                await idle.disconnect(nowait=True)


class _Cancellable(AbstractConnection):
    """Keeps cancellations that redis-py would lose, after which a task would never end.

    redis-py sends through `asyncio.wait_for`, which before Python 3.12 loses a cancellation that arrives while the
    bytes are sent (python/cpython#86296).
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        task = asyncio.current_task()
        cancelled_before = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)
        if task and task.cancelling() > cancelled_before:
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError


async def check_broker(client: Redis, url: str) -> str:
    """The server's version. Raises `BrokerError` if it is away, refuses us, or is too old."""
    try:
        info = await client.info("server")
    except BROKER_FAILURES as error:
        raise BrokerError(
            f"no Redis at {_without_password(url)} ({error}): start one, or set ANTIPHON_REDIS_URL"
        ) from error
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        raise BrokerError(f"Redis {version} is too old: use {'.'.join(map(str, OLDEST_VERSION))} or newer")
    return version


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
