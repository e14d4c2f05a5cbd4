import pytest

from gateway.placement_store import PlacementStore
from gateway.placer import Placer
from gateway.worker_registry import WorkerRegistry
from shared import keys
from shared.agent import AgentDefinition
from shared.errors import BrokerError, RefusedError
from shared.io.broker import Redis, connect
from tests.fakes.media_worker import announce_worker

AGENTS = {"echo": AgentDefinition(id="echo", name="Echo", mode="echo")}


async def placer_of(broker: Redis) -> Placer:
    registry = WorkerRegistry(broker)
    await registry.refresh()
    return Placer(AGENTS, registry, PlacementStore(broker), "", 4000)


async def test_a_session_goes_to_the_least_loaded(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "busy", 10, sessions=5)
    await announce_worker(broker_url, "media", "idle", 10)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    placed = await (await placer_of(broker)).place("echo")
    assert placed.media_worker == "idle"
    assert await broker.zscore(keys.reservations("media", "idle"), placed.session) is not None


async def test_sessions_placed_between_two_reports_are_spread(broker: Redis, broker_url: str) -> None:
    for worker_id in ("m1", "m2"):
        await announce_worker(broker_url, "media", worker_id, 10)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    placer = await placer_of(broker)
    workers = [(await placer.place("echo")).media_worker for _ in range(6)]
    assert workers.count("m1") == workers.count("m2") == 3


async def test_the_next_candidate_is_taken_when_the_first_has_gone(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "gone", 10)
    await announce_worker(broker_url, "media", "m2", 10, sessions=5)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    placer = await placer_of(broker)
    await broker.delete(keys.worker("media", "gone"))
    assert (await placer.place("echo")).media_worker == "m2"


async def test_a_session_without_a_pipeline_worker_is_refused(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 10)
    with pytest.raises(RefusedError) as refused:
        await (await placer_of(broker)).place("echo")
    assert refused.value.code == "no_capacity"
    assert refused.value.retry_after_ms == 4000
    assert await broker.exists(keys.reservations("media", "m1")) == 0


async def test_a_worker_that_refused_is_not_asked_again(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 10)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    with pytest.raises(RefusedError):
        await (await placer_of(broker)).place("echo", avoid={"m1"})


async def test_released_slots_are_free(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 1)
    await announce_worker(broker_url, "pipeline", "p1", 1, pool="default")
    placer = await placer_of(broker)
    placed = await placer.place("echo")
    await placer.release(placed.session, placed.media_worker, "echo")
    assert await broker.exists(keys.reservations("media", "m1"), keys.reservations("pipeline", "default")) == 0


async def test_the_broker_is_away(broker: Redis, broker_url: str) -> None:
    away = connect("redis://127.0.0.1:1/0")
    await announce_worker(broker_url, "media", "m1", 10)
    never_refreshed = Placer(AGENTS, WorkerRegistry(away), PlacementStore(away), "", 4000)
    registry = WorkerRegistry(broker)
    await registry.refresh()
    gone_since = Placer(AGENTS, registry, PlacementStore(away), "", 4000)
    for placer in (never_refreshed, gone_since):
        with pytest.raises(BrokerError) as refused:
            await placer.place("echo")
        assert refused.value.retry_after_ms == 4000
        await placer.release("s1", "m1", "echo")  # logged; the reservation expires by itself
    await away.aclose()
