"""One cluster for all tests, with the images on its nodes."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.installation import Installation

_KEEP = "ANTIPHON_TEST_CLUSTER"
"""`keep`: use the cluster that runs, if one does, and leave it running."""
_IMAGES = "ANTIPHON_TEST_IMAGES"
"""The folder that `images.sh` has written."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    keep = os.environ.get(_KEEP) == "keep"
    running = (keep and Cluster.running()) or Cluster.boot()
    try:
        running.load(*sorted(Path(os.environ[_IMAGES]).glob("*.tar")))
        yield running
    finally:
        if not keep:
            running.end()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dev(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """The overlay `dev`, with two pods of each service."""
    installation = await Installation.of(cluster, "dev", tmp_path_factory.mktemp("agents"))
    yield installation
    await installation.remove()
