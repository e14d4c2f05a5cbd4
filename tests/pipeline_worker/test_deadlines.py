import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from pipeline_worker.deadlines import each_within
from shared.errors import EngineError


class Source:
    def __init__(self) -> None:
        self.closed = False

    async def outputs(self, *texts: str, hang: bool = False) -> AsyncIterator[str]:
        try:
            for text in texts:
                yield text
            if hang:
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_outputs_pass_through() -> None:
    assert [text async for text in each_within(5, Source().outputs("a", "b"), "model")] == ["a", "b"]


async def test_an_engine_that_goes_quiet_is_an_error_and_is_closed() -> None:
    source, seen = Source(), []
    with pytest.raises(EngineError) as raised:
        async for text in each_within(0.01, source.outputs("a", hang=True), "model"):
            seen.append(text)  # noqa: PERF401 (what came before the error counts)
    assert seen == ["a"]
    assert raised.value.code == "engine_timeout"
    assert "model" in raised.value.message
    assert source.closed


async def test_closing_it_closes_the_source() -> None:
    source = Source()
    async with contextlib.aclosing(each_within(5, source.outputs("a", "b"), "model")) as outputs:
        assert await anext(outputs) == "a"
    assert source.closed
