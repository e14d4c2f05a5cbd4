"""Blocking functions off the event loop, a bounded number at once."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any


class Threads:
    """A function that never returns keeps its place for ever, but not the process: its thread is a daemon."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises. Cancelling this leaves a `work` that has begun running, unheard."""
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
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(tell, result, error)

        threading.Thread(target=target, name="tool", daemon=True).start()
        result, error = await finished
        if error is not None:
            raise error
        return result
