"""What every language model does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import pytest_asyncio

from pipeline_worker.engines.protocols import LanguageModel, Utterance
from tests.pipeline_worker.engines.agents import started
from tests.pipeline_worker.engines.conformance.engines import LANGUAGE_MODEL

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = [Utterance("user", "When are you open?")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=LANGUAGE_MODEL)
async def lm(request: Any) -> AsyncIterator[LanguageModel]:
    engine = LANGUAGE_MODEL[request.param]
    async with engine.agent("language_model") as agent, started(engine.provider(), agent) as provider:
        lm: LanguageModel = provider.open("desk")
        yield lm
        await lm.close()


async def answer(lm: LanguageModel) -> str:
    return "".join([piece.text async for piece in lm.reply(ASKED)])


async def test_a_question_is_answered_turn_after_turn(lm: LanguageModel) -> None:
    assert await answer(lm)
    assert await answer(lm)


async def test_an_abandoned_answer_leaves_the_engine_usable(lm: LanguageModel) -> None:
    async with aclosing(lm.reply(ASKED)) as pieces:
        await anext(pieces)
    assert await answer(lm)


async def test_cancelling_while_waiting_leaves_the_engine_usable(lm: LanguageModel) -> None:
    answering = asyncio.create_task(answer(lm))
    await asyncio.sleep(0)
    answering.cancel()
    await asyncio.wait([answering])
    assert await answer(lm)
