"""Reservations of media slots. One script on the broker decides, so two gateways cannot hand out the same slot.

A session is refused while its pool has no room, but holds no slot there before its caller is connected: a stranger's
offer costs none. The media worker reserves that one.

A reservation expires after `RESERVATION_MS`. The worker that takes the session removes it earlier, in the transaction
in which it reports the session (`Heartbeat.announce(placed=...)`), so a slot is always counted once.
"""

from collections.abc import Sequence

from shared import keys
from shared.errors import BrokerError, RefusedError
from shared.io.broker import BROKER_FAILURES, Redis
from shared.worker_report import RESERVATION_MS

# A session that moves has its pipeline worker already: its pool is empty, and not checked.
# KEYS: pool reservations; report and reservations of each media worker; reports of pipeline workers.
# ARGV: session, lease, pool, number of media workers. Returns the index of the media worker that was reserved, or why
# there is none. A report's key lives as long as the worker's lease, so a worker without a report is gone. All keys are
# tagged {workers}, which puts them on one cluster node.
_RESERVE = """#!lua
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local session, lease, pool, media_workers = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local function held(reservations)
  redis.call('ZREMRANGEBYSCORE', reservations, '-inf', now)
  return redis.call('ZCARD', reservations)
end

local function hold(reservations)
  redis.call('ZADD', reservations, string.format('%.0f', now + lease), session)
  redis.call('PEXPIRE', reservations, lease)
end

local free = -held(KEYS[1])
for index = 2 * media_workers + 2, #KEYS do
  local pipeline = redis.call('HMGET', KEYS[index], 'state', 'pool', 'sessions', 'capacity')
  local serves = string.find(',' .. (pipeline[2] or '') .. ',', ',' .. pool .. ',', 1, true)
  if pipeline[1] == 'serving' and serves then
    free = free + math.max(0, (tonumber(pipeline[4]) or 0) - (tonumber(pipeline[3]) or 0))
  end
end
if pool ~= '' and free <= 0 then return 'no pipeline worker of pool ' .. pool .. ' has room' end

local full, away = 0, 0
for index = 1, media_workers do
  local reservations = KEYS[2 * index + 1]
  local media = redis.call('HMGET', KEYS[2 * index], 'state', 'sessions', 'capacity')
  if media[1] ~= 'serving' then
    away = away + 1
  elseif (tonumber(media[2]) or 0) + held(reservations) >= (tonumber(media[3]) or 0) then
    full = full + 1
  else
    hold(reservations)
    return index
  end
end
return 'media workers: ' .. full .. ' full, ' .. away .. ' gone or not serving'
"""


class PlacementStore:
    """Reserves and releases. Every method raises `BrokerError` when the broker is away."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._reserve = client.register_script(_RESERVE)

    async def reserve(
        self, session: str, media_workers: Sequence[str], pool: str, pipeline_workers: Sequence[str]
    ) -> int:
        """Hold a slot of the first media worker that has room; returns its index.

        Raises `RefusedError` if there is none, or if the pool has no room. No `pool` needs no room.
        """
        reserve_keys = [keys.reservations("pipeline", pool)]
        for worker_id in media_workers:
            reserve_keys += [keys.worker("media", worker_id), keys.reservations("media", worker_id)]
        reserve_keys += [keys.worker("pipeline", worker_id) for worker_id in pipeline_workers]
        try:
            verdict = await self._reserve(keys=reserve_keys, args=[session, RESERVATION_MS, pool, len(media_workers)])
        except BROKER_FAILURES as error:
            raise BrokerError(f"no slot could be reserved: {error}") from error
        if isinstance(verdict, int):
            return verdict - 1
        raise RefusedError(verdict.decode())

    async def release(self, session: str, media_worker: str) -> None:
        """Give the slot back, if it is still only reserved."""
        try:
            await self._redis.zrem(keys.reservations("media", media_worker), session)
        except BROKER_FAILURES as error:
            raise BrokerError(f"a reservation was not released: {error}") from error
