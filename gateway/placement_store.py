"""Reservations of slots, made in one step on the broker, so that two gateways cannot hand out the same slot.

A reservation ends by itself after `RESERVATION_MS`. Until then the worker that takes the session removes it, in the
same transaction in which it reports the session (`Heartbeat.announce(placed=...)`): a slot is always counted once.
"""

from collections.abc import Sequence
from typing import Literal, cast

from shared import keys
from shared.errors import BrokerError
from shared.io.broker import BROKER_FAILURES, Redis

RESERVATION_MS = 15_000

Verdict = Literal["reserved", "media_gone", "media_not_serving", "media_full", "pool_full"]

# KEYS: media report, media reservations, pool reservations, reports of pipeline workers. ARGV: session, lease, pool.
# A report's key lives as long as the worker's lease, so that being there is being alive. All keys are tagged
# {workers}: one cluster node has them.
_RESERVE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[2])

local function held(reservations)
  redis.call('ZREMRANGEBYSCORE', reservations, '-inf', now)
  return redis.call('ZCARD', reservations)
end

local media = redis.call('HMGET', KEYS[1], 'state', 'sessions', 'capacity')
if not media[1] then return 'media_gone' end
if media[1] ~= 'serving' then return 'media_not_serving' end
if (tonumber(media[2]) or 0) + held(KEYS[2]) >= (tonumber(media[3]) or 0) then return 'media_full' end

local free = -held(KEYS[3])
for index = 4, #KEYS do
  local pipeline = redis.call('HMGET', KEYS[index], 'state', 'pool', 'sessions', 'capacity')
  local serves = string.find(',' .. (pipeline[2] or '') .. ',', ',' .. ARGV[3] .. ',', 1, true)
  if pipeline[1] == 'serving' and serves then
    free = free + math.max(0, (tonumber(pipeline[4]) or 0) - (tonumber(pipeline[3]) or 0))
  end
end
if free <= 0 then return 'pool_full' end

for _, reservations in ipairs({KEYS[2], KEYS[3]}) do
  redis.call('ZADD', reservations, string.format('%.0f', now + lease), ARGV[1])
  redis.call('PEXPIRE', reservations, lease)
end
return 'reserved'
"""


class PlacementStore:
    """Reserves and releases. Every method raises `BrokerError` when the broker is away."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._reserve = client.register_script(_RESERVE)

    async def reserve(self, session: str, media_worker: str, pool: str, pipeline_workers: Sequence[str]) -> Verdict:
        """Hold one slot of the media worker and one of the pool, or neither."""
        reserve_keys = [
            keys.worker("media", media_worker),
            keys.reservations("media", media_worker),
            keys.reservations("pipeline", pool),
            *(keys.worker("pipeline", worker_id) for worker_id in pipeline_workers),
        ]
        try:
            verdict = await self._reserve(keys=reserve_keys, args=[session, RESERVATION_MS, pool])
        except BROKER_FAILURES as error:
            raise BrokerError(f"no slot could be reserved: {error}") from error
        return cast(Verdict, verdict.decode())

    async def release(self, session: str, media_worker: str, pool: str) -> None:
        """Give both slots back, if they are still only reserved."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zrem(keys.reservations("media", media_worker), session)
        pipeline.zrem(keys.reservations("pipeline", pool), session)
        try:
            await pipeline.execute()
        except BROKER_FAILURES as error:
            raise BrokerError(f"a reservation was not released: {error}") from error
