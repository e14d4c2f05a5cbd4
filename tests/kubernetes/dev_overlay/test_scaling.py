"""Pipeline workers follow their load, and no call is cut."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.talk import Record
from tests.kubernetes.crowd import crowd, record_heard
from tests.kubernetes.dev_overlay.conftest import PIPELINE
from tests.kubernetes.installation import Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(500, func_only=True)]

_STAY, _GO = 4, 18
"""Callers. All of them keep two workers busier than the autoscaler wants, the first alone do not."""
_CALM_PERCENT = 45
"""Of what the pods request. The autoscaler wants 50."""
_SCALED_S = 180.0
_LOOK_EVERY_S = 2.0


@pytest_asyncio.fixture
async def autoscaled(dev: Installation) -> AsyncIterator[Installation]:
    """With the fewest workers, which have recovered from their start."""
    await dev.apply("autoscaled")
    await _scaled(dev, 2, least=True)
    yield dev
    await dev.cluster.kubectl("-n", PIPELINE.namespace, "delete", "hpa", PIPELINE.name)
    await dev.apply("dev")


async def test_pipeline_workers_are_added_under_load_and_taken_away_again(
    autoscaled: Installation, record_property: Record
) -> None:
    async with crowd(autoscaled.signaling_url, _STAY) as staying:
        async with crowd(autoscaled.signaling_url, _GO):
            heard = await staying.hear("scaled up", lambda: _scaled(autoscaled, 3))
            record_heard(record_property, heard)
            assert heard["sessions_lost"] == 0
        heard = await staying.hear("scaled down", lambda: _scaled(autoscaled, 2, least=True))
        record_heard(record_property, heard)
        assert heard["sessions_lost"] == 0


async def _scaled(installation: Installation, workers: int, least: bool = False) -> None:
    """Until the autoscaler has as many workers. With `least`, also until it would want no more by their load."""
    async with asyncio.timeout(_SCALED_S):
        while True:
            status = (await installation.cluster.get("-n", PIPELINE.namespace, "hpa", PIPELINE.name))["status"]
            pods = await installation.pods(PIPELINE)
            if len(pods) == status.get("currentReplicas") == status.get("desiredReplicas") == workers:
                metrics = status.get("currentMetrics") or [{}]
                used = metrics[0].get("resource", {}).get("current", {}).get("averageUtilization", 100)
                if not least or used <= _CALM_PERCENT:
                    return
            await asyncio.sleep(_LOOK_EVERY_S)
