"""One deployment for the tests of a module that do not break it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.deployment import Deployment, deployed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str) -> AsyncIterator[Deployment]:
    async with deployed(broker_url) as running:
        yield running
        assert await running.leftovers() == []
