import asyncio

import pytest

from gateway.session_limits import SessionLimits
from shared import keys
from shared.errors import BrokerError, RefusedError
from shared.io.broker import Redis, connect
from shared.worker_report import COUNTED_MS, RESERVATION_MS

KEY, AGENT = keys.counter("key", "website"), keys.counter("agent", "desk")


async def taken(limits: SessionLimits, session: str, wanted: dict[str, int], instead_of: str = "") -> bool:
    try:
        await limits.take(session, wanted, instead_of)
    except RefusedError as refusal:
        assert refusal.code == "too_many_sessions"
        return False
    return True


async def test_gateways_that_ask_at_once_together_admit_exactly_the_limit(broker: Redis, broker_url: str) -> None:
    clients = [connect(broker_url) for _ in range(2)]
    gateways = [SessionLimits(client) for client in clients]
    asking = [taken(gateways[number % 2], f"s{number}", {KEY: 7}) for number in range(20)]
    assert sum(await asyncio.gather(*asking)) == 7
    for client in clients:
        await client.aclose()


async def test_a_session_is_counted_for_its_key_and_its_agent_or_for_none(broker: Redis) -> None:
    limits = SessionLimits(broker)
    assert await taken(limits, "s1", {KEY: 5, AGENT: 1})
    assert not await taken(limits, "s2", {KEY: 5, AGENT: 1})
    assert await broker.zcard(KEY) == 1
    assert await taken(limits, "s3", {KEY: 5})
    await limits.release("s1", (KEY, AGENT))
    assert await taken(limits, "s2", {KEY: 5, AGENT: 1})


async def test_without_a_limit_sessions_are_counted_for_the_day_that_has_one(broker: Redis) -> None:
    limits = SessionLimits(broker)
    assert [await taken(limits, f"s{number}", {KEY: 0}) for number in range(3)] == [True] * 3
    assert not await taken(limits, "s4", {KEY: 3})
    assert await taken(limits, "s5", {}), "no counter at all"


async def test_a_second_place_of_one_offer_needs_no_second_slot(broker: Redis) -> None:
    limits = SessionLimits(broker)
    assert await taken(limits, "s1", {KEY: 1})
    assert await taken(limits, "s2", {KEY: 1}, instead_of="s1")
    assert await broker.zrange(KEY, 0, -1) == [b"s2"]
    assert await taken(limits, "s2", {KEY: 1}), "a repeated request"


async def test_a_session_that_no_media_worker_keeps_does_not_count_for_long(broker: Redis) -> None:
    limits = SessionLimits(broker)
    await broker.zadd(KEY, {"lost": 1})
    assert await taken(limits, "s1", {KEY: 1})
    until_ms = await broker.zscore(KEY, "s1") or 0
    seconds, microseconds = await broker.time()
    assert 0 < until_ms - (seconds * 1000 + microseconds / 1000) <= RESERVATION_MS
    assert RESERVATION_MS < await broker.pttl(KEY) <= COUNTED_MS, "others are counted for longer"


async def test_without_the_broker_no_session_is_admitted() -> None:
    client = connect("redis://127.0.0.1:1/0")
    limits = SessionLimits(client)
    with pytest.raises(BrokerError):
        await limits.take("s1", {KEY: 1})
    with pytest.raises(BrokerError):
        await limits.release("s1", [KEY])
    await client.aclose()
