"""A real broker, flushed before each test that asks for a client; the order of tests; figures in the summary."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from shared.io.broker import Redis, connect
from tests.fakes.own_broker import OwnBroker
from tests.schedule import Schedule, rank

# A busy machine must not fail a property.
hypothesis.settings.register_profile("antiphon", deadline=None)
hypothesis.settings.load_profile("antiphon")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that load onnxruntime before our own engine does


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a broker on a free port that lives as long as the test run."""
    folder: Path = tmp_path_factory.mktemp("broker")
    with OwnBroker(folder).running() as own:
        yield own.url


@pytest.fixture
async def broker(broker_url: str) -> AsyncIterator[Redis]:
    """A client connected to an empty broker."""
    client = connect(broker_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def record_property(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Writes texts: pytest-xdist cannot send other objects from process to process."""
    return lambda name, value: record_property(name, str(value))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests have recorded by `record_property`."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    for report in reports:
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name}: {value}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Schedule:
    return Schedule(config, log)
