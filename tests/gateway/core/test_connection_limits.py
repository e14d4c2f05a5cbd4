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
    assert limits._by_block == {}


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
