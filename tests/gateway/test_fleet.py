import pytest

from gateway.fleet import Fleet
from shared import keys
from shared.errors import BrokerError, PeerError
from shared.io.broker import Redis, connect
from tests.fakes.media_worker import announce_worker


async def test_workers_are_listed_with_what_their_operator_wants(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "pipeline", "p1", 9, pool="default")
    await announce_worker(broker_url, "media", "m2", 9)
    await announce_worker(broker_url, "media", "m1", 9)
    fleet = Fleet(broker)
    await fleet.wish("m2", "draining")
    await fleet.wish("p1", "moving")
    listed = [(worker.report.worker_id, worker.wish) for worker in await fleet.workers()]
    assert listed == [("m1", "serving"), ("m2", "draining"), ("p1", "moving")]


async def test_a_wish_is_undone_by_another_wish_and_ends_with_its_worker(broker: Redis, broker_url: str) -> None:
    await announce_worker(broker_url, "media", "m1", 9)
    fleet = Fleet(broker)
    await fleet.wish("m1", "draining")
    await fleet.wish("m1", "serving")
    assert await broker.get(keys.wish("media", "m1")) == b"serving"
    assert 0 < await broker.ttl(keys.wish("media", "m1")) <= 60


async def test_a_worker_that_is_not_there_cannot_be_drained(broker: Redis) -> None:
    with pytest.raises(PeerError) as refused:
        await Fleet(broker).wish("gone", "draining")
    assert refused.value.code == "unknown_worker"
    assert await broker.keys("*:wish") == []


async def test_without_the_broker_nothing_is_known_and_nobody_told() -> None:
    client = connect("redis://127.0.0.1:1/0")
    with pytest.raises(BrokerError):
        await Fleet(client).workers()
    with pytest.raises(BrokerError):
        await Fleet(client).wish("m1", "draining")
    await client.aclose()
