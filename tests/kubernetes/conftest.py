"""One cluster for all tests, with the images on its nodes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.cluster import Cluster

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
