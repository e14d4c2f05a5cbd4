"""KEDA asks the gateways how many workers are wanted. When they do not know, none is taken away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.talk import Record
from tests.kubernetes.crowd import crowd
from tests.kubernetes.dev_overlay.conftest import MEDIA, PIPELINE
from tests.kubernetes.installation import NAMESPACE, Deployment, Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(700, func_only=True)]

_WORKERS = (MEDIA, PIPELINE)
_STAY, _GO = 4, 14
"""Callers. For all of them three workers of each kind are wanted, for the first alone two."""
_SCALED_S = 180.0
_FALLBACK_S = 120.0
_HELD_S = 45.0
"""The autoscaler decides every 15 s, and takes away what was not wanted for 30 s."""
_LOOK_EVERY_S = 2.0


@pytest_asyncio.fixture
async def scaled(dev: Installation, keda: None) -> AsyncIterator[Installation]:
    await dev.apply("scaled-by-keda")
    await _scaled(dev, 2)
    yield dev
    await dev.cluster.kubectl("-n", NAMESPACE, "delete", "scaledobject", "--all")
    await dev.apply("dev")


async def test_workers_follow_the_demand_and_none_is_taken_away_while_it_is_not_known(
    scaled: Installation, record_property: Record
) -> None:
    async with crowd(scaled.signaling_url, _STAY) as staying:
        async with contextlib.AsyncExitStack() as coming:
            more = coming.enter_async_context(crowd(scaled.signaling_url, _GO))
            await staying.lose_nobody(
                "scaled up by demand", lambda: asyncio.gather(more, _scaled(scaled, 3)), record_property
            )
        await staying.lose_nobody("demand not known", lambda: _held_without_a_broker(scaled), record_property)
        await staying.lose_nobody("scaled down by demand", lambda: _scaled(scaled, 2), record_property)


async def _scaled(installation: Installation, workers: int) -> None:
    """Until there are as many workers of each kind, and KEDA's autoscalers want no other number."""
    async with asyncio.timeout(_SCALED_S):
        while not all([await _is_scaled(installation, kind, workers) for kind in _WORKERS]):  # noqa: ASYNC110 (the cluster has no event for us)
            await asyncio.sleep(_LOOK_EVERY_S)


async def _is_scaled(installation: Installation, kind: Deployment, workers: int) -> bool:
    found = await installation.cluster.get("-n", NAMESPACE, "hpa")
    statuses = [hpa["status"] for hpa in found["items"] if hpa["metadata"]["name"] == f"keda-hpa-{kind.name}"]
    counts = [(status.get("currentReplicas"), status.get("desiredReplicas")) for status in statuses]
    return counts == [(workers, workers)] and len(await installation.pods(kind)) == workers


async def _held_without_a_broker(installation: Installation) -> None:
    """KEDA gets no number, and keeps what there is. The gateways are not ready meanwhile."""
    cluster = installation.cluster
    scale = ("-n", NAMESPACE, "scale", "deployment/valkey")
    await cluster.kubectl(*scale, "--replicas=0")
    try:
        async with asyncio.timeout(_FALLBACK_S):
            while not all([await _has_fallen_back(installation, kind) for kind in _WORKERS]):  # noqa: ASYNC110 (as above)
                await asyncio.sleep(_LOOK_EVERY_S)
        until_s = time.monotonic() + _HELD_S
        while time.monotonic() < until_s:
            found = await cluster.get("-n", NAMESPACE, "deployment", *(kind.name for kind in _WORKERS))
            assert [deployment["spec"]["replicas"] for deployment in found["items"]] == [3, 3]
            await asyncio.sleep(_LOOK_EVERY_S)
    finally:
        await cluster.kubectl(*scale, "--replicas=1")
        await cluster.rolled_out(NAMESPACE, "valkey")


async def _has_fallen_back(installation: Installation, kind: Deployment) -> bool:
    found = await installation.cluster.get("-n", NAMESPACE, "scaledobject", kind.name)
    return any(each["type"] == "Fallback" and each["status"] == "True" for each in found["status"]["conditions"])
