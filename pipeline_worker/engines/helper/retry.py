"""A second try after a helper process died: the next request starts a new one."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from shared.errors import EngineError

T = TypeVar("T")


async def retried(attempt: Callable[[], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """What `attempt` gives. It is made again if it fails, without a code of its own, before it has given anything."""
    for last in (False, True):
        given = False
        try:
            async with aclosing(attempt()) as outputs:
                async for output in outputs:
                    given = True
                    yield output
            return
        except EngineError as error:
            if given or last or error.code != EngineError.code:
                raise
