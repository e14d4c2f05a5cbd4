"""What gateways must know together about tokens: which were used, how many were made, and a key to sign them with."""

import secrets
from collections.abc import Awaitable
from typing import TypeVar

from gateway.core.tokens import KeyRing
from shared import keys
from shared.errors import BrokerError
from shared.io.broker import BROKER_FAILURES, Redis

_SHARED_KID = "shared"
_SHARED_KEY_LIFE_S = 86_400
_WINDOW_S = 60

Reply = TypeVar("Reply")


class TokenStore:
    """Every method raises `BrokerError` when the broker is away."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def shared_keys(self) -> KeyRing:
        """A random key that the first gateway makes. It is forgotten a day after its last use, or with the broker."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(keys.token_key(), secrets.token_urlsafe(32), nx=True, ex=_SHARED_KEY_LIFE_S)
        pipeline.getex(keys.token_key(), ex=_SHARED_KEY_LIFE_S)
        _, key = await _reply(pipeline.execute())
        return {_SHARED_KID: key.decode()}

    async def claim(self, token_id: str, owner: str, for_s: int) -> bool:
        """Whether the token was unused, or was claimed by this `owner` before (as after a lost reply)."""
        claimed = self._redis.set(keys.token(token_id), owner, nx=True, get=True, ex=max(1, for_s))
        holder = await _reply(claimed)
        return holder is None or holder == owner.encode()

    async def give_back(self, token_id: str) -> None:
        """Only its owner may call this."""
        await _reply(self._redis.delete(keys.token(token_id)))

    async def count_made(self, api_key: str, now_s: float) -> int:
        """How many tokens this key has made in this minute, with the one that it is about to make."""
        counter = keys.tokens_made(api_key, int(now_s) // _WINDOW_S)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.incr(counter)
        pipeline.expire(counter, 2 * _WINDOW_S)
        made, _ = await _reply(pipeline.execute())
        return int(made)


async def _reply(command: Awaitable[Reply]) -> Reply:
    try:
        return await command
    except BROKER_FAILURES as error:
        raise BrokerError(f"a token could not be looked up: {error}") from error
