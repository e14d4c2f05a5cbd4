"""Leases: members of sorted sets, with the time at which they end as score.

It is the broker's time, which ends them too (`gateway.placement_store`, `gateway.session_limits`): the clocks of
machines may differ.
"""

from collections.abc import Iterable
from typing import Any

# KEYS: set. ARGV: lease (ms), members. The set lives as long as its last lease.
_HOLD = """
local time = redis.call('TIME')
local until_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], until_ms, ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""


def hold(pipeline: Any, key: str, members: Iterable[str], lease_ms: int) -> None:
    """Add a command to a pipeline of redis-py: the members hold their leases for `lease_ms` from then on."""
    pipeline.eval(_HOLD, 1, key, lease_ms, *members)
