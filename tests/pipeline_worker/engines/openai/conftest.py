from collections.abc import AsyncIterator

import pytest

from tests.fakes.openai_server import OpenAiServer, running_openai_server


@pytest.fixture
async def server() -> AsyncIterator[OpenAiServer]:
    async with running_openai_server() as server:
        yield server
