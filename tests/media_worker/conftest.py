"""The worker's process-wide settings stay off in tests: hypothesis and numpy need denormal numbers."""

from collections.abc import AsyncIterator

import pytest

from media_worker import opus, worker
from shared.io.broker import Redis
from tests.fakes.media_correspondents import RunningMediaWorker, running_media_worker


@pytest.fixture(autouse=True)
def processor_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "flush_to_zero", lambda: False)
    monkeypatch.setattr(worker, "settle_memory", lambda: None)


@pytest.fixture
async def house(broker_url: str, broker: Redis) -> AsyncIterator[RunningMediaWorker]:
    """On an empty broker, because tests use the same session again."""
    async with running_media_worker(broker_url, media_silent_timeout_s=3) as running:
        yield running
