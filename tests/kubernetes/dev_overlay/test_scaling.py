"""Pipeline workers follow their load, and no call is cut."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.talk import Record
from tests.kubernetes.crowd import crowd, record_heard
from tests.kubernetes.dev_overlay.conftest import PIPELINE
from tests.kubernetes.installation import Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(500)]

_CALLERS = 20
_SCALED_S = 180.0
_LOOK_EVERY_S = 2.0


@pytest_asyncio.fixture
async def autoscaled(dev: Installation) -> AsyncIterator[Installation]:
    await dev.apply("autoscaled")
    yield dev
    await dev.cluster.kubectl("-n", PIPELINE.namespace, "delete", "hpa", PIPELINE.name)
    await dev.apply("dev")


async def test_pipeline_workers_are_added_under_load_and_taken_away_again(
    autoscaled: Installation, record_property: Record
) -> None:
    async with crowd(autoscaled.signaling_url, _CALLERS) as talking:
        heard = await talking.hear("scaled up", lambda: _scaled(autoscaled, at_least=3))
        record_heard(record_property, heard)
        assert heard["sessions_lost"] == 0
        await autoscaled.cluster.kubectl(
            "-n", PIPELINE.namespace, "patch", "hpa", PIPELINE.name, "--type=json",
            '--patch=[{"op": "replace", "path": "/spec/metrics/0/resource/target/averageUtilization", "value": 1000}]',
        )  # fmt: skip
        heard = await talking.hear("scaled down", lambda: _scaled(autoscaled, at_most=2))
        record_heard(record_property, heard)
        assert heard["sessions_lost"] == 0


async def _scaled(installation: Installation, at_least: int = 1, at_most: int = 100) -> None:
    async with asyncio.timeout(_SCALED_S):
        while True:
            deployment = await installation.cluster.get("-n", PIPELINE.namespace, "deployment", PIPELINE.name)
            if at_least <= deployment["status"].get("readyReplicas", 0) <= at_most:
                return
            await asyncio.sleep(_LOOK_EVERY_S)
