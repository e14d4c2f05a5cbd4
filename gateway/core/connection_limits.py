"""How many connections may be open, from one address and in all."""

from typing import Literal

Refusal = Literal["address", "total"]


class ConnectionLimits:
    """Counts the slots that are taken. Give what `address_block` says of a caller, so that IPv6 has no way around."""

    def __init__(self, total: int, per_block: int) -> None:
        self._total = total
        self._per_block = per_block
        self._by_block: dict[str, int] = {}
        self.open = 0

    def take(self, block: str | None) -> "Slot | Refusal":
        """A slot, or which limit is reached. Without a block it counts in the total only."""
        if self.open >= self._total:
            return "total"
        if block is not None:
            taken = self._by_block.get(block, 0)
            if taken >= self._per_block:
                return "address"
            self._by_block[block] = taken + 1
        self.open += 1
        return Slot(self, block)

    def _free(self, block: str | None) -> None:
        self.open -= 1
        if block is not None:
            self._by_block[block] -= 1
            if not self._by_block[block]:
                del self._by_block[block]


class Slot:
    """The place of one connection."""

    __slots__ = ("_block", "_limits")

    def __init__(self, limits: ConnectionLimits, block: str | None) -> None:
        self._limits: ConnectionLimits | None = limits
        self._block = block

    def free(self) -> None:
        """Idempotent."""
        if self._limits is not None:
            self._limits._free(self._block)
            self._limits = None
