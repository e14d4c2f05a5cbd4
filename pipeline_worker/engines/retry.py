"""A second try after a failure that may not repeat: a helper process that died, a connection that was lost."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from shared.errors import EngineError

T = TypeVar("T")


def has_no_code(error: EngineError) -> bool:
    """A helper that died gives no code; the next request starts a new one."""
    return error.code == EngineError.code


async def retried(
    attempt: Callable[[], AsyncGenerator[T, None]], transient: Callable[[EngineError], bool] = has_no_code
) -> AsyncGenerator[T, None]:
    """The outputs of `attempt`. A `transient` error before the first output repeats it once."""
    for last in (False, True):
        given = False
        try:
            async with aclosing(attempt()) as outputs:
                async for output in outputs:
                    given = True
                    yield output
            return
        except EngineError as error:
            if given or last or not transient(error):
                raise
