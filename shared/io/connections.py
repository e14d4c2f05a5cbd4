"""What connections to Redis need on top of redis-py's."""

import asyncio
from collections.abc import Iterable
from typing import Any

from prometheus_client import Counter
from redis.asyncio import BlockingConnectionPool, Connection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.connection import HiredisRespSerializer
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

_serializer = HiredisRespSerializer()
"""In C. redis-py's asynchronous client packs in Python, which costs more than the system call."""
_NEVER_WAITS = 32 * 1024
"""With fewer bytes in its buffer, a transport does not make its writer wait."""


async def _sound(connection: AbstractConnection) -> bool:
    """Whether it is connected, and nothing is left to read. It looks, and does not wait."""
    try:
        return connection.is_connected and not await connection.can_read()
    except CONNECTION_FAILURES:
        return False


class Pool(BlockingConnectionPool):
    """Waits for a free connection, where redis-py's default pool raises. Closes the idle ones when one has failed.

    The idle ones are likely dead too, which a socket does not show when the broker's machine is lost. Otherwise each
    would cost another command and its timeout.

    A sound connection is taken and given back without redis-py's locks and records, which cost a quarter of a command.
    """

    _slow = 0
    """Callers that redis-py serves now. They may wait for a connection."""

    async def get_connection(self) -> AbstractConnection:  # type: ignore[override] # redis-py deprecates its arguments
        idle = self._available_connections
        if not idle or not await _sound(idle[-1]):
            self._slow += 1
            try:
                taken: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call] # redis-py's
                return taken
            finally:
                self._slow -= 1
        connection = idle.pop()
        self._in_use_connections.add(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        failed = not connection.is_connected
        if not failed and not self._slow and not connection.should_reconnect():  # type: ignore[no-untyped-call] # redis-py's
            self._in_use_connections.remove(connection)
            self._available_connections.append(connection)
            return
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
    sends each command in a task of its own, through `asyncio.wait_for`, which before Python 3.12 loses a cancellation
    that arrives meanwhile (python/cpython#86296). Commands are counted here, where all pass.
    """

    _packed = 0
    """Commands that are not counted yet."""

    def pack_command(self, *args: Any) -> list[bytes]:
        self._packed += 1
        return _serializer.pack(*args)  # type: ignore[no-any-return] # redis-py has no type for it

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        if self._reader is not None and self._reader.at_eof():
            await self.disconnect(nowait=True)
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        _writes.inc()
        _commands.inc(self._packed)
        self._packed = 0
        if isinstance(command, str):
            command = command.encode()
        writer = self._writer
        assert writer is not None
        try:
            writer.write(command if isinstance(command, bytes) else b"".join(command))
            if writer.transport.get_write_buffer_size() < _NEVER_WAITS:
                await writer.drain()
            else:
                async with asyncio.timeout(self.socket_timeout):
                    await writer.drain()
        except BaseException as error:
            await self.disconnect(nowait=True)  # half a command may have been sent
            if isinstance(error, TimeoutError):
                raise RedisTimeoutError("the broker reads nothing") from None
            if isinstance(error, OSError):
                raise RedisConnectionError(f"cannot write to the broker: {error}") from error
            raise
