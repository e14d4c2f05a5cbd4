"""Where an operator's functions run: never on the event loop of the worker, whose calls they could hold up."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from shared.io.logs import get_logger

_BLOCKED_S = 1.0
"""A loop that does not answer for so long is blocked."""
_MOST_LOOPS = 8
_STOPPING_S = 1.0

log = get_logger()


class Threads:
    """Runs blocking functions, a bounded number at once.

    The threads are daemons: a function that never returns occupies its place, but does not keep the process alive.
    """

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], Any]) -> Any:
        """Returns or raises what `work` does. Work that has begun continues after a cancellation, without a result."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        finished: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def tell(result: Any, error: BaseException | None) -> None:
            self._free.release()
            if not finished.done():
                finished.set_result((result, error))

        def target() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(tell, result, error)

        threading.Thread(target=target, name="tool", daemon=True).start()
        result, error = await finished
        if error is not None:
            raise error
        return result


class LoopThread:
    """Runs coroutines on an event loop of their own. One that blocks it holds up other tools for a second: then a new
    loop is begun, and the blocked one is left alone. After `_MOST_LOOPS` of them, tools wait for the last one.
    """

    def __init__(self) -> None:
        self._loops: list[asyncio.AbstractEventLoop] = []

    async def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Returns or raises what `work` does. A cancellation does not wait for it."""
        loop = await self._answering_loop()
        running = asyncio.run_coroutine_threadsafe(_outcome(work), loop)
        result, error = await asyncio.wrap_future(running)
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """Stops the loops. Idempotent."""
        for loop in self._loops:
            with contextlib.suppress(RuntimeError):  # it is closed already
                loop.call_soon_threadsafe(loop.stop)
        self._loops.clear()

    async def _answering_loop(self) -> asyncio.AbstractEventLoop:
        if not self._loops:
            self._begin()
        loop = self._loops[-1]
        try:
            async with asyncio.timeout(_BLOCKED_S):
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop))
        except TimeoutError:
            if loop is self._loops[-1] and len(self._loops) < _MOST_LOOPS:
                log.warning("tools_blocked", loops=len(self._loops))
                self._begin()
        return self._loops[-1]

    def _begin(self) -> None:
        loop = asyncio.new_event_loop()
        self._loops.append(loop)
        threading.Thread(target=_serve, args=(loop,), name="tools", daemon=True).start()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left, timeout=_STOPPING_S))
    finally:
        loop.close()


async def _outcome(work: Callable[[], Awaitable[Any]]) -> tuple[Any, BaseException | None]:
    """A `KeyboardInterrupt` that is raised in a task would end the loop."""
    try:
        return await work(), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
        return None, error
