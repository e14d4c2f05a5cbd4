import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import worker_registry
from gateway.worker_registry import WorkerRegistry
from shared.io.broker import BROKER_FAILURES, Redis, connect
from tests.fakes.media_worker import announce_worker
from tests.fakes.virtual_time import in_virtual_time
from tests.integration.restartable_broker import RestartableBroker


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


@in_virtual_time
async def test_it_is_not_fresh_two_seconds_after_the_brokers_last_answer() -> None:
    """In a hang of the broker the gateway's `/readyz` stayed 200 for three seconds."""
    client = connect("redis://127.0.0.1:1/0")
    registry = WorkerRegistry(client)
    registry.refreshed_at_s = asyncio.get_running_loop().time()
    freshness = []
    for _ in range(3):
        freshness.append(registry.fresh)
        await asyncio.sleep(1.01)
    assert freshness == [True, True, False]
    await client.aclose()


async def test_a_gateway_that_started_with_the_broker_waits_for_sessions_whose_records_are_not_written_again(
    broker: Redis,
) -> None:
    """It refused their clients."""
    registry = WorkerRegistry(broker)
    await registry.refresh()
    assert registry.fresh
    assert not registry.settled


async def test_it_is_settled_a_while_after_the_broker_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_registry, "_SETTLED_AFTER_S", 1.0)
    broker = RestartableBroker(tmp_path)
    broker.start()
    client = connect(broker.url)
    registry = WorkerRegistry(client)
    running = asyncio.create_task(registry.run())
    try:
        await _until(lambda: registry.fresh and registry.settled)
        await asyncio.to_thread(broker.stop)
        await _until(lambda: not registry.settled)
        await asyncio.to_thread(broker.start)
        refreshed_at_s = registry.refreshed_at_s
        await _until(lambda: registry.refreshed_at_s != refreshed_at_s)
        assert not registry.settled
        await _until(lambda: registry.settled)
    finally:
        running.cancel()
        await client.aclose()
        broker.stop()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.05)
