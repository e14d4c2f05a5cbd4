import asyncio

import pytest

from gateway.token_store import TokenStore
from shared import keys
from shared.errors import BrokerError
from shared.io.broker import Redis, connect


async def test_one_of_many_gateways_gets_a_token(broker: Redis, broker_url: str) -> None:
    clients = [connect(broker_url) for _ in range(4)]
    stores = [TokenStore(client) for client in clients]
    claims = await asyncio.gather(*(stores[number % 4].claim("t1", f"c{number}", 60) for number in range(20)))
    assert claims.count(True) == 1
    for client in clients:
        await client.aclose()


async def test_a_connection_may_claim_again_what_it_holds(broker: Redis) -> None:
    store = TokenStore(broker)
    assert await store.claim("t1", "c1", 60)
    assert await store.claim("t1", "c1", 60)
    assert not await store.claim("t1", "c2", 60)
    await store.give_back("t1")
    assert await store.claim("t1", "c2", 60)


async def test_a_used_token_is_forgotten_when_it_has_expired(broker: Redis) -> None:
    await TokenStore(broker).claim("t1", "c1", 60)
    assert 0 < await broker.ttl(keys.token("t1")) <= 60


async def test_all_gateways_sign_with_the_same_key(broker: Redis) -> None:
    one, other = TokenStore(broker), TokenStore(broker)
    ((kid, key),) = (await one.shared_keys()).items()
    assert await other.shared_keys() == {kid: key}
    assert len(key) >= 32
    await broker.expire(keys.token_key(), 60)
    await one.shared_keys()
    assert await broker.ttl(keys.token_key()) > 60, "a key in use is kept"
    await broker.flushall()
    assert await one.shared_keys() != {kid: key}


async def test_tokens_are_counted_by_key_and_minute(broker: Redis) -> None:
    one, other = TokenStore(broker), TokenStore(broker)
    assert [await one.count_made("a", 60), await other.count_made("a", 119.9)] == [1, 2]
    assert [await one.count_made("b", 60), await one.count_made("a", 120)] == [1, 1]
    assert await broker.ttl(keys.tokens_made("a", 1)) > 0


async def test_the_broker_is_away() -> None:
    client = connect("redis://127.0.0.1:1/0")
    store = TokenStore(client)
    for command in (store.shared_keys(), store.claim("t", "c", 1), store.give_back("t"), store.count_made("a", 0)):
        with pytest.raises(BrokerError):
            await command
    await client.aclose()
