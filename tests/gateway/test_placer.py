import asyncio
from collections.abc import Sequence

import pytest

from gateway.core.signaling_events import Place
from gateway.media_link import MediaLink
from gateway.placement_store import PlacementStore
from gateway.placer import Placer
from gateway.worker_registry import WorkerRegistry
from shared import keys
from shared.errors import BrokerError, RefusedError
from shared.io.broker import Redis, connect
from tests.fakes.media_worker import announce_worker

ECHO = Place("echo", "default")


def placer_with(registry: WorkerRegistry, store: Redis, link: MediaLink | None = None) -> Placer:
    return Placer(registry, PlacementStore(store), link or MediaLink("gateway-1", store, store), "", 4000)


async def placer_of(broker: Redis, link: MediaLink | None = None) -> Placer:
    registry = WorkerRegistry(broker)
    await registry.refresh()
    return placer_with(registry, broker, link)


async def test_a_session_goes_to_the_least_loaded(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "busy", 10, sessions=5)
    await announce_worker(broker_url, "media", "idle", 10)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    placed = await (await placer_of(broker)).place(ECHO)
    assert placed.media_worker == "idle"
    assert await broker.zscore(keys.reservations("media", "idle"), placed.session) is not None


async def test_sessions_placed_between_two_reports_are_spread(broker: Redis, broker_url: str) -> None:
    for worker_id in ("m1", "m2"):
        await announce_worker(broker_url, "media", worker_id, 10)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    placer = await placer_of(broker)
    workers = [(await placer.place(ECHO)).media_worker for _ in range(6)]
    assert workers.count("m1") == workers.count("m2") == 3


async def test_the_next_candidate_is_taken_when_the_first_has_gone(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "gone", 10)
    await announce_worker(broker_url, "media", "m2", 10, sessions=5)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    placer = await placer_of(broker)
    await broker.delete(keys.worker("media", "gone"))
    assert (await placer.place(ECHO)).media_worker == "m2"


async def test_a_session_without_a_pipeline_worker_is_refused(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 10)
    with pytest.raises(RefusedError) as refused:
        await (await placer_of(broker)).place(ECHO)
    assert refused.value.code == "no_capacity"
    assert refused.value.retry_after_ms == 4000
    assert await broker.exists(keys.reservations("media", "m1")) == 0


async def test_a_worker_that_refused_is_not_asked_again(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 10)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    with pytest.raises(RefusedError):
        await (await placer_of(broker)).place(ECHO._replace(avoid=frozenset({"m1"})))


async def test_released_slots_are_free(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 1)
    await announce_worker(broker_url, "pipeline", "p1", 1, pool="default")
    placer = await placer_of(broker)
    placed = await placer.place(ECHO)
    await placer.release(placed.session, placed.media_worker)
    assert await broker.exists(keys.reservations("media", "m1")) == 0


async def test_a_silent_worker_is_only_taken_if_there_is_no_other(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "silent", 10)
    await announce_worker(broker_url, "media", "busy", 1)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    placer = await placer_of(broker)
    assert placer.is_alive("silent")
    workers = [(await placer.place(ECHO._replace(silent="silent"))).media_worker for _ in range(2)]
    assert workers == ["busy", "silent"]
    assert not placer.is_alive("silent")
    assert not placer.is_alive("unknown")


async def test_a_session_that_moves_needs_no_room_in_its_pool(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 10)
    placed = await (await placer_of(broker)).place(ECHO._replace(session="s1"))
    assert (placed.session, placed.media_worker) == ("s1", "m1")
    assert await broker.zscore(keys.reservations("media", "m1"), "s1") is not None


async def test_an_offer_that_was_not_answered_is_placed_on_fresh_reports(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 10)
    await announce_worker(broker_url, "pipeline", "p1", 10, pool="default")
    placer = await placer_of(broker)
    await announce_worker(broker_url, "media", "started-since", 10)
    await asyncio.sleep(0.11)  # reports of the last 0.1 s are fresh
    placed = await placer.place(ECHO._replace(avoid=frozenset({"m1"}), silent="m1"))
    assert placed.media_worker == "started-since"


class BusyStore(PlacementStore):
    """Fails when more is asked at once than it has connections, as the real one does after half a second."""

    at_once = 0

    async def reserve(
        self, session: str, media_workers: Sequence[str], pool: str, pipeline_workers: Sequence[str]
    ) -> int:
        self.at_once += 1
        try:
            if self.at_once > 16:
                raise BrokerError("no connection is free")
            return await super().reserve(session, media_workers, pool, pipeline_workers)
        finally:
            self.at_once -= 1


async def test_a_burst_of_offers_is_not_refused_while_there_is_room(broker: Redis, broker_url: str) -> None:
    for number in range(5):
        await announce_worker(broker_url, "media", f"m{number}", 40)
    await announce_worker(broker_url, "pipeline", "p1", 1000, pool="default")
    registry = WorkerRegistry(broker)
    await registry.refresh()
    placer = Placer(registry, BusyStore(broker), MediaLink("gateway-1", broker, broker), "", 4000)
    placed = await asyncio.gather(*(placer.place(ECHO) for _ in range(200)))
    workers = [each.media_worker for each in placed]
    assert {worker: workers.count(worker) for worker in workers} == {f"m{number}": 40 for number in range(5)}
    with pytest.raises(RefusedError) as refused:
        await placer.place(ECHO)
    assert refused.value.retry_after_ms == 4000


async def test_the_broker_is_away(broker: Redis, broker_url: str) -> None:
    away = connect("redis://127.0.0.1:1/0")
    await announce_worker(broker_url, "media", "m1", 10)
    never_refreshed = placer_with(WorkerRegistry(away), away)
    registry = WorkerRegistry(broker)
    await registry.refresh()
    gone_since = placer_with(registry, away)
    for placer in (never_refreshed, gone_since):
        with pytest.raises(BrokerError) as refused:
            await placer.place(ECHO)
        assert refused.value.retry_after_ms == 4000
        await placer.release("s1", "m1")  # logged; the reservation expires by itself
    await away.aclose()
