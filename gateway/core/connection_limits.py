"""How many connections may be open, from one address and in all.

When all slots are taken, a newcomer gets that of a connection without a session: the oldest one of the address that has
the most of them. So whoever fills the gateway from a few addresses pushes out their own connections (as in longest
queue drop, Suter et al. 1999). Against many addresses, a connection keeps its slot for as long as it takes to fill all
the others, and an offer needs less.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Literal

Refusal = Literal["address", "total"]

SLOTS = "antiphon.slots"
"""Key in the ASGI scope of a WebSocket: its slots, to be kept once it has a session."""
_COMPARED = 100
"""How many of the oldest connections without a session are compared."""


class ConnectionLimits:
    """Counts the slots that are taken. Give what `address_block` says of a caller, so that IPv6 has no way around."""

    def __init__(self, total: int, per_block: int) -> None:
        self._total = total
        self._per_block = per_block
        self._taken: Counter[str | None] = Counter()
        self._evictable: OrderedDict[Slot, None] = OrderedDict()
        self._evictable_of: Counter[str | None] = Counter()
        self.open = 0

    def take(self, block: str | None, evict: Callable[[], None] | None = None) -> "Slot | Refusal":
        """A slot, or which limit is reached. Without a block it counts in the total only.

        `evict` is called when the slot goes to somebody else, unless it was kept: it closes the connection. Without it
        the slot cannot be taken away.
        """
        if block is not None and self._taken[block] >= self._per_block:
            return "address"
        if self.open >= self._total and not self._make_room():
            return "total"
        slot = Slot(self, block, evict)
        self.open += 1
        self._taken[block] += 1
        if evict is not None:
            self._evictable[slot] = None
            self._evictable_of[block] += 1
        return slot

    def _make_room(self) -> bool:
        oldest = islice(self._evictable, _COMPARED)
        slot = max(oldest, key=lambda slot: self._evictable_of[slot.block], default=None)
        if slot is None or slot.evict is None:
            return False
        slot.free()
        slot.evict()
        return True

    def _keep(self, slot: "Slot") -> None:
        if slot in self._evictable:
            del self._evictable[slot]
            _decrement(self._evictable_of, slot.block)

    def _free(self, slot: "Slot") -> None:
        self._keep(slot)
        self.open -= 1
        _decrement(self._taken, slot.block)


class Slot:
    """The place of one connection."""

    __slots__ = ("_limits", "block", "evict")

    def __init__(self, limits: ConnectionLimits, block: str | None, evict: Callable[[], None] | None) -> None:
        self._limits: ConnectionLimits | None = limits
        self.block = block
        self.evict = evict

    def keep(self) -> None:
        """The connection has a session: from now on its slot is not taken away."""
        if self._limits is not None:
            self._limits._keep(self)

    def free(self) -> None:
        """Idempotent."""
        if self._limits is not None:
            self._limits._free(self)
            self._limits = None


def _decrement(counter: Counter[str | None], block: str | None) -> None:
    counter[block] -= 1
    if not counter[block]:
        del counter[block]
