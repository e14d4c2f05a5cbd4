"""One deployment for the tests of a module that do not break it; and the figures of tests, in the summary."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from tests.integration.deployment import Deployment, deployed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(broker_url: str) -> AsyncIterator[Deployment]:
    async with deployed(broker_url) as running:
        yield running
        assert await running.leftovers() == []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests have recorded by `record_property`."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    for report in reports:
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name}: {value}")
