"""One cluster for all tests, with the images on its nodes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.containers.compose import BUILD_TIMEOUT_S, IMAGE, SERVICES_IMAGE, build_images, podman
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.keda import install_keda

_KEEP = "ANTIPHON_TEST_CLUSTER"
"""`keep`: use the cluster that runs, if one does, and leave it running."""


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Archives of ours, and of one with Valkey."""
    build_images()
    podman("tag", SERVICES_IMAGE, f"{SERVICES_IMAGE}:test")
    folder = tmp_path_factory.mktemp("images")
    archives = {IMAGE: folder / "antiphon.tar", f"{SERVICES_IMAGE}:test": folder / "services.tar"}
    for image, archive in archives.items():
        podman("save", "--quiet", "--format=docker-archive", f"--output={archive}", image, timeout_s=BUILD_TIMEOUT_S)
    return list(archives.values())


@pytest.fixture(scope="session")
def cluster(images: list[Path]) -> Iterator[Cluster]:
    keep = os.environ.get(_KEEP) == "keep"
    running = (keep and Cluster.running()) or Cluster.boot()
    try:
        running.load(*images)
        yield running
    finally:
        if not keep:
            running.end()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def keda(cluster: Cluster) -> None:
    """Stays until the cluster ends: it has to finish each ScaledObject that is deleted."""
    await install_keda(cluster)
