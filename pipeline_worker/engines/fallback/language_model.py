"""A language model that answers in time, by its fallback if need be."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pipeline_worker.engines.guard import Guarded
from pipeline_worker.engines.protocols import Entry, LanguageModel, Reply
from shared.errors import EngineError


class FallbackLanguageModel:
    """One session's. The fallback answers when the first engine failed before it had said anything.

    Once something was said, it may have been spoken: another answer would repeat or contradict it, so that fails.
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
        """Both, side by side."""
        models = [self._first, *filter(None, [self._fallback])]
        await asyncio.gather(*(model.guard.let_go(model.engine.close()) for model in models))


def _answer(model: Guarded[LanguageModel], conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
    return model.guard.outputs(model.engine.reply(conversation), _says_something)


def _says_something(piece: Reply) -> bool:
    return bool(piece.text or piece.end_call or piece.tool_calls)
