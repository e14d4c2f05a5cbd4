"""The overlay `dev` on two nodes, and what callers hear while pods are replaced beneath them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.talk import Record
from tests.kubernetes.crowd import Crowd, crowd
from tests.kubernetes.installation import SERVICES, Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]

_CALLERS = 20
_OF_SESSIONS = {"gateway": "gateway", "media-worker": "mediaWorker", "pipeline-worker": "pipelineWorker"}
_HEARD_AGAIN_S = {"gateway": 0.06, "media-worker": 4.0, "pipeline-worker": 5.0}
"""The bounds of the benchmark `chaos`."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def talking(dev: Installation) -> AsyncIterator[Crowd]:
    async with crowd(dev.signaling_url, _CALLERS) as callers:
        yield callers


@pytest.mark.parametrize("service", SERVICES)
async def test_a_deployment_is_updated(
    dev: Installation, talking: Crowd, service: str, record_property: Record
) -> None:
    heard = await talking.hear(f"{service} updated", lambda: dev.restart(service))
    _record(record_property, heard)
    assert heard["sessions_lost"] == 0


async def test_a_node_is_drained(dev: Installation, talking: Crowd, record_property: Record) -> None:
    async def drain() -> None:
        await dev.cluster.kubectl(
            "drain", "n2", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s", timeout_s=200
        )

    try:
        heard = await talking.hear("node drained", drain)
    finally:
        await dev.cluster.kubectl("uncordon", "n2")
        await dev.cluster.rolled_out("antiphon", *SERVICES)
    _record(record_property, heard)
    assert heard["sessions_lost"] == 0


@pytest.mark.parametrize("service", SERVICES)
async def test_a_pod_is_deleted_without_grace(
    dev: Installation, talking: Crowd, service: str, record_property: Record
) -> None:
    field, numbers = _OF_SESSIONS[service], talking.sessions
    concerned: dict[str, list[int]] = {pod: [] for pod in await dev.pods(service)}
    for session in await dev.sessions():
        for pod in concerned:
            if f"-{pod}-" in session[field] and session["id"] in numbers:
                concerned[pod].append(numbers[session["id"]])
    victim, callers = max(concerned.items(), key=lambda each: len(each[1]))
    assert callers

    async def delete() -> None:
        await dev.kubectl("delete", "pod", victim, "--grace-period=0", "--force")

    heard = await talking.hear(f"{service} deleted with grace 0", delete, callers)
    await dev.cluster.rolled_out("antiphon", service)
    _record(record_property, heard)
    assert heard["sessions_lost"] == 0
    assert heard["heard_again_p95_s"] <= _HEARD_AGAIN_S[service]


def _record(record_property: Record, heard: dict[str, Any]) -> None:
    record_property(
        heard["fault"],
        f"in {heard['took_s']:.0f} s, {heard['callers']} callers: silence p50 {heard['silence_p50_s']:.2f} s, p95 "
        f"{heard['silence_p95_s']:.2f} s; words lost {heard['lost']}, doubled {heard['doubled']}, of {heard['words']}; "
        f"sessions lost {heard['sessions_lost']}",
    )
