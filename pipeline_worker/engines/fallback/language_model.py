"""A language model with a fallback."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pipeline_worker.engines.guard import Guarded
from pipeline_worker.engines.protocols import Entry, LanguageModel, Reply
from shared.errors import EngineError


class FallbackLanguageModel:
    """For one session. The fallback answers if the first engine fails before it has said anything.

    A later failure is raised: what was said may be spoken already, and another answer would repeat or contradict it.
    """

    def __init__(self, first: Guarded[LanguageModel], fallback: Guarded[LanguageModel] | None = None) -> None:
        self._first = first
        self._fallback = fallback

    async def reply(self, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        fallback = self._fallback
        if fallback is None or self._first.guard.admits():
            given = False
            try:
                async with aclosing(_answer(self._first, conversation)) as pieces:
                    async for piece in pieces:
                        given = True
                        yield piece
                return
            except EngineError:
                if given or fallback is None:
                    raise
        self._first.guard.count_fallback()
        async with aclosing(_answer(fallback, conversation)) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        """Closes both concurrently."""
        models = [self._first, *filter(None, [self._fallback])]
        await asyncio.gather(*(model.guard.let_go(model.engine.close()) for model in models))


def _answer(model: Guarded[LanguageModel], conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
    return model.guard.outputs(model.engine.reply(conversation), _says_something)


def _says_something(piece: Reply) -> bool:
    return bool(piece.text or piece.end_call or piece.tool_calls)
