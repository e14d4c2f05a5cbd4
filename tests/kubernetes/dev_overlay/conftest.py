from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.installation import Deployment, Installation

GATEWAY, MEDIA, PIPELINE = SERVICES = [Deployment(name) for name in ("gateway", "media-worker", "pipeline-worker")]
_ADMIN_KEY = "antiphon_dev_admin"


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def dev(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder = tmp_path_factory.mktemp("agents")
    installation = await Installation.of(cluster, "dev", SERVICES, folder, _ADMIN_KEY)
    yield installation
    await installation.remove()
