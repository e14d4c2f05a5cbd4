"""What callers hear while pods are replaced beneath them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.talk import Record
from tests.kubernetes.crowd import Crowd, crowd
from tests.kubernetes.dev_overlay.conftest import GATEWAY, MEDIA, PIPELINE, SERVICES
from tests.kubernetes.installation import Deployment, Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400, func_only=True)]

_CALLERS = 20
_OF_SESSIONS = {GATEWAY: "gateway", MEDIA: "mediaWorker", PIPELINE: "pipelineWorker"}
_KILLED_AFTER_S = 2.0
"""The kubelet sends SIGTERM first, and gives every pod at least so long."""
_BOUNDS_S = {
    GATEWAY: ("silence_p95_s", 0.06),
    MEDIA: ("heard_again_p95_s", _KILLED_AFTER_S + 4.0),
    PIPELINE: ("heard_again_p95_s", _KILLED_AFTER_S + 5.0),
}
"""Those of the benchmark `chaos`, from the kill."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def talking(dev: Installation) -> AsyncIterator[Crowd]:
    async with crowd(dev.signaling_url, _CALLERS) as callers:
        yield callers


@pytest.mark.parametrize("service", SERVICES)
async def test_a_deployment_is_updated(
    dev: Installation, talking: Crowd, service: Deployment, record_property: Record
) -> None:
    await talking.lose_nobody(f"{service.name} updated", lambda: dev.restart(service), record_property)


async def test_a_node_is_drained(dev: Installation, talking: Crowd, record_property: Record) -> None:
    """The broker may be on it too, and comes back empty on the other one."""
    try:
        await talking.lose_nobody("node drained", lambda: dev.drain("n2"), record_property)
    finally:
        await dev.undo_drain("n2")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_pod_is_deleted_without_grace(
    dev: Installation, talking: Crowd, service: Deployment, record_property: Record
) -> None:
    field, numbers = _OF_SESSIONS[service], talking.sessions
    concerned: dict[str, list[int]] = {pod: [] for pod in await dev.pods(service)}
    for session in await dev.sessions():
        for pod in concerned:
            if f"-{pod}-" in session[field] and session["id"] in numbers:
                concerned[pod].append(numbers[session["id"]])
    victim, callers = max(concerned.items(), key=lambda each: len(each[1]))
    assert callers
    row = f"{service.name} deleted"
    heard = await talking.lose_nobody(row, lambda: dev.delete(service, victim), record_property, callers)
    await dev.cluster.rolled_out(service.namespace, service.name)
    figure, bound_s = _BOUNDS_S[service]
    assert heard[figure] <= bound_s
