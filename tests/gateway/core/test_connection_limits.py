from collections.abc import Callable

from gateway.core.connection_limits import ConnectionLimits, Slot


def test_one_address_cannot_take_the_slots_of_others() -> None:
    limits = ConnectionLimits(total=10, per_block=2)
    slots = [limits.take("a"), limits.take("a")]
    assert limits.take("a") == "address"
    assert isinstance(limits.take("b"), Slot)
    assert isinstance(slots[0], Slot)
    slots[0].free()
    slots[0].free()
    assert limits.open == 2
    assert isinstance(limits.take("a"), Slot)
    assert limits.take("a") == "address"


def test_a_stranger_with_a_million_addresses_leaves_no_memory_behind() -> None:
    limits = ConnectionLimits(total=10, per_block=2)
    for number in range(1_000):
        slot = limits.take(f"2001:db8:0:{number:x}::/64")
        assert isinstance(slot, Slot)
        slot.free()
    assert limits._taken == {}


def test_all_together_have_a_limit() -> None:
    limits = ConnectionLimits(total=3, per_block=2)
    taken = [limits.take(block) for block in ("a", None, None)]
    assert limits.take("b") == "total"
    assert limits.take(None) == "total"
    for slot in taken:
        assert isinstance(slot, Slot)
        slot.free()
    assert limits.open == 0
    assert isinstance(limits.take("b"), Slot)


def test_a_newcomer_gets_the_oldest_slot_without_a_session_of_the_address_that_has_the_most() -> None:
    limits = ConnectionLimits(total=5, per_block=4)
    evicted: list[str] = []

    def take(block: str, name: str) -> Slot:
        slot = limits.take(block, evict=noting(evicted, name))
        assert isinstance(slot, Slot)
        return slot

    take("light", "light")
    first, _, _ = (take("heavy", f"heavy {number}") for number in range(3))
    first.keep()
    kept = take("light", "kept")
    kept.keep()
    take("new", "new")
    assert (evicted, limits.open) == (["heavy 1"], 5)
    take("new", "another")
    assert evicted == ["heavy 1", "light"], "the oldest of those that have one each, the kept ones not counted"


def test_connections_with_a_session_make_no_room() -> None:
    limits = ConnectionLimits(total=2, per_block=2)
    evicted: list[str] = []
    for name in ("a", "b"):
        slot = limits.take(name, evict=noting(evicted, name))
        assert isinstance(slot, Slot)
        slot.keep()
    assert limits.take("c", evict=noting(evicted, "c")) == "total"
    assert evicted == []


def test_an_evicted_connection_that_closes_frees_no_second_slot() -> None:
    limits = ConnectionLimits(total=1, per_block=2)
    old = limits.take("a", evict=lambda: None)
    new = limits.take("a", evict=lambda: None)
    assert isinstance(old, Slot)
    assert isinstance(new, Slot)
    old.keep()
    old.free()
    assert limits.open == 1
    new.free()
    assert limits.open == 0


def noting(evicted: list[str], name: str) -> Callable[[], None]:
    return lambda: evicted.append(name)
