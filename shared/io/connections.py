"""What connections to Redis need on top of redis-py's."""

import asyncio
from collections.abc import Iterable
from typing import Any

from prometheus_client import Counter
from redis.asyncio import BlockingConnectionPool, Connection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

_commands = Counter("antiphon_broker_commands_total", "Commands sent to the broker")
_writes = Counter("antiphon_broker_writes_total", "Writes that carried them; a pipeline is one")

CONNECTION_FAILURES = (RedisConnectionError, RedisTimeoutError, OSError)
CommandRefused = ResponseError
"""The broker has answered, and refuses the command."""
MemoryFull = OutOfMemoryError
"""It refuses the command because that needs memory."""
BROKER_FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What a broken, slow or absent broker makes a command raise."""


class Pool(BlockingConnectionPool):
    """Waits for a free connection, where redis-py's default pool raises. Closes the idle ones when one has failed.

    The idle ones are likely dead too, which a socket does not show when the broker's machine is lost. Otherwise each
    would cost another command and its timeout.
    """

    async def release(self, connection: AbstractConnection) -> None:
        failed = not connection.is_connected
        await super().release(connection)
        if failed:
            for idle in self._available_connections:
                await idle.disconnect(nowait=True)


class SentinelPool(SentinelConnectionPool, Pool):
    """Asks Sentinel for the master whenever it connects. Owns the connections to Sentinel."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def dependable(connection_class: type[Connection]) -> type[Connection]:
    """The class, with connections that send nothing on a closed socket and keep cancellations."""
    return type("Connection", (_Dependable, connection_class), {})


class _Dependable(AbstractConnection):
    """Mixed into redis-py's connections.

    redis-py's cluster client takes idle connections without a look, also those that the server has closed. And redis-py
    sends through `asyncio.wait_for`, which before Python 3.12 loses a cancellation that arrives while the bytes are
    sent (python/cpython#86296), after which a task would never end. Commands are counted here, where all pass.
    """

    _packed = 0
    """Commands that are not counted yet."""

    def pack_command(self, *args: Any) -> list[bytes]:
        self._packed += 1
        return super().pack_command(*args)

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        if self._reader is not None and self._reader.at_eof():
            await self.disconnect(nowait=True)  # the call below connects again
        task = asyncio.current_task()
        cancelled_before = task.cancelling() if task else 0
        _writes.inc()
        _commands.inc(self._packed)
        self._packed = 0
        await super().send_packed_command(command, check_health)
        if task and task.cancelling() > cancelled_before:
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError
