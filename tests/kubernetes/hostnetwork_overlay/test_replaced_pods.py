"""What callers hear on the host's network while pods are replaced beneath them."""

import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.talk import Record
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.crowd import Crowd, crowd
from tests.kubernetes.installation import Deployment, Installation

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400, func_only=True)]

GATEWAY, PIPELINE = Deployment("gateway"), Deployment("pipeline-worker")
SLOTS = [Deployment(f"media-worker-{slot}", "antiphon-media") for slot in "ab"]
_CALLERS = 10
_SECRETS = Path(__file__).parents[3] / "deploy" / "k8s" / "secrets.sh"


@pytest.fixture(scope="module")
def secrets() -> subprocess.CompletedProcess[str]:
    """As an operator makes them."""
    return subprocess.run([_SECRETS, "production-hostnetwork"], capture_output=True, text=True, check=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def installed(
    cluster: Cluster, secrets: subprocess.CompletedProcess[str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    (admin_key,) = re.findall(r"console \(admin\) (\S+)", secrets.stderr)
    deployments, folder = [GATEWAY, PIPELINE, *SLOTS], tmp_path_factory.mktemp("agents")
    installation = await Installation.of(cluster, "hostnetwork", deployments, folder, admin_key, secrets.stdout)
    yield installation
    await installation.remove()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def talking(installed: Installation) -> AsyncIterator[Crowd]:
    async with crowd(installed.signaling_url, _CALLERS) as callers:
        yield callers


async def test_a_call_is_on_a_port_of_a_node(installed: Installation, talking: Crowd) -> None:
    sessions = await installed.sessions()
    assert {session["id"] for session in sessions} >= set(talking.sessions)
    nodes = {"198.18.0.11", "198.18.0.12"}
    assert talking.media_addresses <= {(node, port) for node in nodes for port in (40_000, 40_001)}
    assert talking.media_addresses


async def test_a_slot_of_media_workers_is_updated(
    installed: Installation, talking: Crowd, record_property: Record
) -> None:
    await talking.lose_nobody("media-worker-a updated", lambda: installed.restart(SLOTS[0]), record_property)


async def test_a_node_is_drained(installed: Installation, talking: Crowd, record_property: Record) -> None:
    """With one of the three Valkeys, or two: Sentinel promotes a replica, or calls wait for the pods."""
    try:
        await talking.lose_nobody("node drained", lambda: installed.drain("n2"), record_property)
    finally:
        await installed.undo_drain("n2")
