import asyncio

import pytest

from gateway.worker_registry import WorkerRegistry
from shared.io.broker import BROKER_FAILURES, Redis, connect
from tests.fakes.media_worker import announce_worker


async def test_it_lists_the_live_workers(broker: Redis, broker_url: str) -> None:
    registry = WorkerRegistry(broker)
    await announce_worker(broker_url, "media", "m1", 5)
    await announce_worker(broker_url, "pipeline", "p1", 5, pool="default")
    await registry.refresh()
    assert registry.fresh
    assert [report.worker_id for report in registry.media_workers] == ["m1"]
    assert [report.worker_id for report in registry.pipeline_workers] == ["p1"]


async def test_it_notices_a_new_worker(broker: Redis, broker_url: str) -> None:
    registry = WorkerRegistry(broker)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(registry.run())
        await announce_worker(broker_url, "media", "m1", 5)
        while not registry.media_workers:  # noqa: ASYNC110 - the registry has no event
            await asyncio.sleep(0.01)
        running.cancel()


async def test_without_a_broker_it_keeps_trying_and_is_not_fresh() -> None:
    client = connect("redis://127.0.0.1:1/0")
    registry = WorkerRegistry(client)
    with pytest.raises(BROKER_FAILURES):
        await registry.refresh()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await registry.run()
    assert not registry.fresh
    await client.aclose()
