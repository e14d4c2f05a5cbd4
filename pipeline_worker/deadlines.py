"""Waits with an end: no engine may keep a caller in silence for ever."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from shared.errors import EngineError

T = TypeVar("T")


async def each_within(deadline_s: float, outputs: AsyncIterator[T], engine: str) -> AsyncGenerator[T, None]:
    """`outputs`, each within `deadline_s` of being asked for. Closing this closes them.

    Raises `EngineError` with code `engine_timeout`.
    """
    try:
        while True:
            try:
                async with asyncio.timeout(deadline_s):
                    output = await anext(outputs)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise EngineError(f"the {engine} gave nothing for {deadline_s} s", code="engine_timeout") from error
            yield output
    finally:
        if isinstance(outputs, AsyncGenerator):
            await outputs.aclose()
