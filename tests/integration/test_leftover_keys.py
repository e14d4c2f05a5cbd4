from typing import Any

from shared import keys
from shared.io.broker import Redis
from tests.integration.leftover_keys import keys_for_ever, leftover_keys


async def test_what_nobody_alive_owns_is_found(broker: Redis) -> None:
    untyped: Any = broker
    for worker_id in ("p1", "p2"):
        await untyped.xadd(keys.inbox("pipeline", worker_id), {"b": ""})
        await untyped.hset(keys.worker("pipeline", worker_id), "state", "serving")
        await untyped.zadd(keys.workers("pipeline"), {worker_id: 1})
    await untyped.set(keys.token_key(), "key")
    assert await leftover_keys(broker, {"p1", "p2"}) == []
    await untyped.rpush(keys.jobs("default"), "job")
    await untyped.set(keys.turn("s1"), "{}")
    await untyped.zadd(keys.reservations("pipeline", "default"), {"s1": 1})
    assert await leftover_keys(broker, {"p1"}) == [
        keys.jobs("default"),
        keys.inbox("pipeline", "p2"),
        keys.turn("s1"),
        f"p2 in {keys.workers('pipeline')}",
        keys.worker("pipeline", "p2"),
        keys.reservations("pipeline", "default"),
    ]


async def test_what_never_expires_is_found(broker: Redis) -> None:
    untyped: Any = broker
    await untyped.set(keys.turn("s1"), "{}", ex=60)
    await untyped.zadd(keys.workers("pipeline"), {"p1": 1})
    assert await keys_for_ever(broker) == []
    await untyped.set(keys.turn("s2"), "{}")
    assert await keys_for_ever(broker) == [keys.turn("s2")]
