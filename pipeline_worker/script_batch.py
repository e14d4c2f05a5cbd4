"""Runs the scripts of all sessions in one round trip to the broker: alone, each would cost a busy worker three times
the CPU time."""

import asyncio
from typing import NamedTuple, Protocol

from shared.io.broker import Redis

_SLOT_S = 0.02

Argument = int | str | bytes


class RunsScripts(Protocol):
    async def run(self, script: str, keys: tuple[str, ...], *arguments: Argument) -> object:
        """Returns the script's reply. Raises one of `BROKER_FAILURES`."""
        ...


class _Waiting(NamedTuple):
    command: tuple[Argument, ...]
    reply: asyncio.Future[object]


class ScriptBatch:
    """Collects scripts for 20 ms. A broker that hangs fails them all within its deadline."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def run(self, script: str, keys: tuple[str, ...], *arguments: Argument) -> object:
        waiting = _Waiting((script, len(keys), *keys, *arguments), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="script batch")
        return await waiting.reply

    async def _write(self) -> None:
        """Ends when nothing waits any more."""
        try:
            while self._waiting:
                await asyncio.sleep(_SLOT_S)
                batch, self._waiting = self._waiting, []
                await self._execute(batch)
        finally:
            self._writing = None

    async def _execute(self, batch: list[_Waiting]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for waiting in batch:
            pipeline.eval(*waiting.command)  # type: ignore[arg-type]  # redis-py wants strings, and takes bytes
        replies: list[object]
        try:
            replies = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            replies = [error] * len(batch)
        for waiting, reply in zip(batch, replies, strict=True):
            if waiting.reply.done():
                continue  # nobody waits for it any more
            if isinstance(reply, Exception):
                waiting.reply.set_exception(reply)
            else:
                waiting.reply.set_result(reply)
