import asyncio

import pytest

from gateway.placement_store import PlacementStore
from shared import keys
from shared.errors import BrokerError, RefusedError
from shared.io.broker import Redis, connect
from shared.io.heartbeat import Heartbeat, wall_ms
from shared.keys import WorkerKind
from shared.worker_report import RESERVATION_MS, WorkerReport, WorkerState

MEDIA = keys.reservations("media", "m1")
POOL = keys.reservations("pipeline", "default")
NO_PIPELINE = "no pipeline worker of pool default has room"
M1_FULL = "media workers: 1 full, 0 gone or not serving"


async def announce(
    broker: Redis,
    kind: WorkerKind,
    worker_id: str,
    capacity: int,
    sessions: int = 0,
    state: WorkerState = "serving",
    pool: str = "",
    placed: tuple[str, str] | None = None,
) -> None:
    report = WorkerReport(worker_id=worker_id, kind=kind, capacity=capacity, sessions=sessions, state=state, pool=pool)
    await Heartbeat(broker, lambda: report).announce(placed=placed)


async def outcome(
    store: PlacementStore, session: str, media: list[str], pipelines: list[str], pool: str = "default"
) -> str:
    """The media worker that was reserved, or why there is none."""
    try:
        return media[await store.reserve(session, media, pool, pipelines)]
    except RefusedError as refused:
        return refused.message


async def test_a_slot_is_held_for_a_while_but_none_of_the_pool(broker: Redis) -> None:
    await announce(broker, "media", "m1", 2)
    await announce(broker, "pipeline", "p1", 2, pool="default")
    assert await outcome(PlacementStore(broker), "s1", ["m1"], ["p1"]) == "m1"
    ends_at_ms = await broker.zscore(MEDIA, "s1")
    assert ends_at_ms is not None
    assert 0 < ends_at_ms - wall_ms() <= RESERVATION_MS
    assert 0 < await broker.pttl(MEDIA) <= RESERVATION_MS
    assert await broker.exists(POOL) == 0, "a stranger's offer costs no pipeline slot"


async def test_a_session_that_moves_needs_no_room_in_its_pool(broker: Redis) -> None:
    await announce(broker, "media", "m1", 1)
    store = PlacementStore(broker)
    assert await outcome(store, "s1", ["m1"], [], pool="") == "m1"
    assert await outcome(store, "s2", ["m1"], [], pool="") == M1_FULL


async def test_reservations_count_against_the_media_worker(broker: Redis) -> None:
    await announce(broker, "media", "m1", 3, sessions=1)
    await announce(broker, "pipeline", "p1", 9, pool="default")
    store = PlacementStore(broker)
    verdicts = [await outcome(store, f"s{number}", ["m1"], ["p1"]) for number in range(3)]
    assert verdicts == ["m1", "m1", M1_FULL]


async def test_reservations_count_against_the_pool(broker: Redis) -> None:
    await announce(broker, "media", "m1", 9)
    await announce(broker, "pipeline", "p1", 2, sessions=1, pool="default")
    await announce(broker, "pipeline", "p2", 1, pool="default")
    store = PlacementStore(broker)
    for number, verdict in enumerate(["m1", "m1", NO_PIPELINE]):
        assert await outcome(store, f"s{number}", ["m1"], ["p1", "p2"]) == verdict
        await broker.zadd(POOL, {f"s{number}": wall_ms() + RESERVATION_MS})  # as the media worker does
    assert await broker.zcard(MEDIA) == 2, "a refusal holds nothing"


async def test_only_serving_workers_of_the_pool_count(broker: Redis) -> None:
    await announce(broker, "media", "m1", 9)
    await announce(broker, "pipeline", "draining", 5, state="draining", pool="default")
    await announce(broker, "pipeline", "other", 5, pool="gpu")
    await announce(broker, "pipeline", "overfull", 1, sessions=4, pool="default")
    store = PlacementStore(broker)
    everyone = ["draining", "other", "overfull", "dead"]
    assert await outcome(store, "s1", ["m1"], everyone) == NO_PIPELINE
    assert await outcome(store, "s1", ["m1"], everyone, pool="gpu") == "m1"
    await announce(broker, "pipeline", "p1", 1, pool="default")
    assert await outcome(store, "s2", ["m1"], [*everyone, "p1"]) == "m1"


async def test_a_pool_without_workers_has_no_room(broker: Redis) -> None:
    await announce(broker, "media", "m1", 9)
    assert await outcome(PlacementStore(broker), "s1", ["m1"], []) == NO_PIPELINE


async def test_the_first_media_worker_with_room_is_taken(broker: Redis) -> None:
    await announce(broker, "media", "starting", 9, state="starting")
    await announce(broker, "media", "draining", 9, state="draining")
    await announce(broker, "media", "full", 1, sessions=1)
    await announce(broker, "media", "m1", 1)
    await announce(broker, "media", "m2", 9)
    await announce(broker, "pipeline", "p1", 9, pool="default")
    store = PlacementStore(broker)
    ranked = ["gone", "starting", "draining", "full", "m1", "m2"]
    assert [await outcome(store, f"s{number}", ranked, ["p1"]) for number in range(2)] == ["m1", "m2"]
    why = "media workers: 1 full, 3 gone or not serving"
    assert await outcome(store, "s3", ranked[:4], ["p1"]) == why
    assert await broker.zcard(keys.reservations("media", "full")) == 0, "a refusal holds nothing"


async def test_an_expired_reservation_no_longer_counts(broker: Redis) -> None:
    await announce(broker, "media", "m1", 1)
    await announce(broker, "pipeline", "p1", 1, pool="default")
    for key in (MEDIA, POOL):
        await broker.zadd(key, {"old": wall_ms() - 1})
    assert await outcome(PlacementStore(broker), "s1", ["m1"], ["p1"]) == "m1"
    assert await broker.zrange(MEDIA, 0, -1) == [b"s1"]


async def test_a_worker_that_reports_the_session_removes_its_reservation(broker: Redis) -> None:
    await announce(broker, "media", "m1", 2)
    await announce(broker, "pipeline", "p1", 9, pool="default")
    store = PlacementStore(broker)
    await store.reserve("s1", ["m1"], "default", ["p1"])
    await announce(broker, "media", "m1", 2, sessions=1, placed=(MEDIA, "s1"))
    assert await outcome(store, "s2", ["m1"], ["p1"]) == "m1"
    assert await outcome(store, "s3", ["m1"], ["p1"]) == M1_FULL


async def test_released_slots_are_free_again(broker: Redis) -> None:
    await announce(broker, "media", "m1", 1)
    await announce(broker, "pipeline", "p1", 1, pool="default")
    store = PlacementStore(broker)
    await store.reserve("s1", ["m1"], "default", ["p1"])
    await store.release("s1", "m1")
    assert await broker.exists(MEDIA) == 0
    assert await outcome(store, "s2", ["m1"], ["p1"]) == "m1"


async def test_many_gateways_at_once_never_hand_out_a_slot_twice(broker: Redis, broker_url: str) -> None:
    await announce(broker, "media", "m1", 5)
    await announce(broker, "pipeline", "p1", 9, pool="default")
    clients = [connect(broker_url) for _ in range(4)]
    stores = [PlacementStore(client) for client in clients]
    verdicts = await asyncio.gather(
        *(outcome(stores[number % 4], f"s{number}", ["m1"], ["p1"]) for number in range(20))
    )
    for client in clients:
        await client.aclose()
    assert verdicts.count("m1") == 5
    assert verdicts.count(M1_FULL) == 15


async def test_the_broker_is_away() -> None:
    client = connect("redis://127.0.0.1:1/0")
    store = PlacementStore(client)
    with pytest.raises(BrokerError):
        await store.reserve("s1", ["m1"], "default", [])
    with pytest.raises(BrokerError):
        await store.release("s1", "m1")
    await client.aclose()
