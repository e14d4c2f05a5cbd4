"""How many sessions an API key or an agent may have at once. One script on the broker counts, for all gateways.

A session is counted under a lease. The gateway takes it with the session's place; the media worker renews it while the
session runs and ends it with the session (`media_worker.session_index`). So the count is right again soon after any
process dies.
"""

from collections.abc import Collection, Mapping

from prometheus_client import Counter

from shared.errors import BrokerError, RefusedError
from shared.io.broker import BROKER_FAILURES, Redis
from shared.worker_report import COUNTED_MS, RESERVATION_MS

# KEYS: counters. ARGV: session, the session that it replaces, lease, expiry of the counters, limit of each (0: none).
# Returns the index of the counter that is full, else 0.
_TAKE = """#!lua
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index, counter in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', counter, '-inf', now)
  redis.call('ZREM', counter, ARGV[1], ARGV[2])
  local limit = tonumber(ARGV[4 + index])
  if limit > 0 and redis.call('ZCARD', counter) >= limit then return index end
end
for _, counter in ipairs(KEYS) do
  redis.call('ZADD', counter, string.format('%.0f', now + ARGV[3]), ARGV[1])
  redis.call('PEXPIRE', counter, ARGV[4])
end
return 0
"""

_refused = Counter("antiphon_gateway_sessions_over_limit_total", "Sessions refused for a limit at once", ["limit"])


class SessionLimits:
    """Every method raises `BrokerError` when the broker is away."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._take = client.register_script(_TAKE)

    async def take(self, session: str, limits: Mapping[str, int], instead_of: str = "") -> None:
        """Count a new session. `limits` by counter (`keys.counter`); 0 counts without a limit.

        `instead_of` is an earlier place of the same offer. Raises `RefusedError` with code `too_many_sessions`.
        """
        if not limits:
            return
        args: list[str | int] = [session, instead_of or session, RESERVATION_MS, COUNTED_MS, *limits.values()]
        try:
            full = int(await self._take(keys=list(limits), args=args))
        except BROKER_FAILURES as error:
            raise BrokerError(f"a session was not counted: {error}") from error
        if full:
            counter, limit = list(limits.items())[full - 1]
            _refused.labels("agent" if ":agent:" in counter else "key").inc()
            raise RefusedError(f"{counter} has its {limit} sessions", code="too_many_sessions")

    async def release(self, session: str, counters: Collection[str]) -> None:
        """No session came of it."""
        try:
            for counter in counters:
                await self._redis.zrem(counter, session)
        except BROKER_FAILURES as error:
            raise BrokerError(f"a session is counted until its lease ends: {error}") from error
