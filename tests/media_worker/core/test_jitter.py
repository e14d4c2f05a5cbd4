from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_worker.core.jitter import JitterBuffer, Ordered, Packet
from media_worker.core.rtp import signed_difference


def packet(seq: int) -> Packet:
    return Packet(seq & 0xFFFF, seq * 960 & 0xFFFFFFFF, b"opus")


def left(ordered: list[Ordered]) -> list[tuple[int, int]]:
    return [(o.packet.seq, o.missing) for o in ordered]


@pytest.fixture
def buffer() -> JitterBuffer:
    return JitterBuffer(max_wait_s=0.04)


def test_packets_in_order_leave_at_once(buffer: JitterBuffer) -> None:
    assert [left(buffer.push(packet(n), n * 0.02)) for n in range(3)] == [[(0, 0)], [(1, 0)], [(2, 0)]]
    assert not buffer.waiting


def test_two_that_changed_places_leave_in_order(buffer: JitterBuffer) -> None:
    buffer.push(packet(0), 0.0)
    assert buffer.push(packet(2), 0.02) == []
    assert left(buffer.push(packet(1), 0.03)) == [(1, 0), (2, 0)]
    assert not buffer.waiting
    assert buffer.lost == 0


def test_a_hole_counts_as_lost_after_40_ms_and_no_sooner(buffer: JitterBuffer) -> None:
    buffer.push(packet(0), 0.0)
    buffer.push(packet(2), 0.04)
    assert buffer.poll(0.0799) == []
    assert left(buffer.poll(0.0801)) == [(2, 1)]
    assert buffer.lost == 1


def test_packets_behind_a_hole_leave_together_when_it_is_given_up(buffer: JitterBuffer) -> None:
    buffer.push(packet(0), 0.0)
    for n in (3, 4, 5):
        buffer.push(packet(n), 0.02)
    assert left(buffer.poll(0.07)) == [(3, 2), (4, 0), (5, 0)]
    assert buffer.lost == 2


def test_a_second_hole_waits_in_its_own_right(buffer: JitterBuffer) -> None:
    buffer.push(packet(0), 0.0)
    buffer.push(packet(2), 0.02)
    buffer.push(packet(4), 0.05)
    assert left(buffer.poll(0.065)) == [(2, 1)]
    assert buffer.poll(0.08) == []
    assert left(buffer.poll(0.091)) == [(4, 1)]


def test_a_packet_that_comes_after_its_turn_is_counted_and_dropped(buffer: JitterBuffer) -> None:
    buffer.push(packet(5), 0.0)
    assert buffer.push(packet(4), 0.01) == []
    assert buffer.push(packet(5), 0.01) == []
    assert buffer.late == 2
    assert left(buffer.push(packet(6), 0.02)) == [(6, 0)]


def test_a_waiting_packet_that_comes_twice_is_kept_once(buffer: JitterBuffer) -> None:
    buffer.push(packet(0), 0.0)
    buffer.push(packet(2), 0.02)
    assert buffer.push(packet(2), 0.03) == []
    assert left(buffer.push(packet(1), 0.03)) == [(1, 0), (2, 0)]


def test_numbers_wrap_around(buffer: JitterBuffer) -> None:
    seqs = [seq for n in range(65_533, 65_540) for seq, _ in left(buffer.push(packet(n), 0.0))]
    assert seqs == [65_533, 65_534, 65_535, 0, 1, 2, 3]


def test_a_hole_across_the_wrap_is_one_hole(buffer: JitterBuffer) -> None:
    buffer.push(packet(65_534), 0.0)
    buffer.push(packet(65_537), 0.0)
    assert left(buffer.poll(0.05)) == [(1, 2)]


@pytest.mark.parametrize("seq", [10_000, 60_000])
def test_a_wide_jump_means_that_the_sender_restarted(buffer: JitterBuffer, seq: int) -> None:
    buffer.push(packet(0), 0.0)
    buffer.push(packet(2), 0.0)
    assert left(buffer.push(packet(seq), 0.01)) == [(seq, 0)]
    assert left(buffer.push(packet(seq + 1), 0.02)) == [(seq + 1, 0)]
    assert buffer.lost == 0


def test_too_many_waiting_packets_end_the_wait() -> None:
    buffer = JitterBuffer(max_wait_s=60.0, max_packets=4)
    buffer.push(packet(0), 0.0)
    assert [left(buffer.push(packet(n), 0.0)) for n in (2, 3, 4)] == [[], [], []]
    assert left(buffer.push(packet(5), 0.0)) == [(2, 1), (3, 0), (4, 0), (5, 0)]


def test_after_a_restart_any_packet_is_the_first(buffer: JitterBuffer) -> None:
    buffer.push(packet(100), 0.0)
    buffer.push(packet(102), 0.0)
    buffer.restart()
    assert not buffer.waiting
    assert left(buffer.push(packet(50), 0.0)) == [(50, 0)]


def test_the_short_way_takes_only_the_next_packet_when_none_waits(buffer: JitterBuffer) -> None:
    assert not buffer.accept_next(7)
    buffer.push(packet(7), 0.0)
    assert not buffer.accept_next(7)
    assert not buffer.accept_next(9)
    assert buffer.accept_next(8)
    buffer.push(packet(10), 0.0)
    assert not buffer.accept_next(9)
    assert left(buffer.push(packet(9), 0.0)) == [(9, 0), (10, 0)]


arrivals = st.lists(st.tuples(st.integers(0, 60), st.floats(0, 0.05)), max_size=120)


@given(arrivals, st.integers(0, 65_535))
def test_packets_leave_in_order_and_every_missing_one_is_counted(steps: list[tuple[int, float]], first: int) -> None:
    buffer = JitterBuffer(max_wait_s=0.04, max_packets=8)
    now, out = 0.0, []
    for offset, wait_s in steps:
        now += wait_s
        out += buffer.poll(now)
        out += buffer.push(packet(first + offset), now)
    out += buffer.poll(now + 1)
    assert not buffer.waiting
    for before, after in pairwise(out):
        assert signed_difference(after.packet.seq, before.packet.seq, 16) == after.missing + 1
    assert buffer.lost == sum(ordered.missing for ordered in out)


@given(arrivals)
def test_nothing_waits_longer_than_it_may(steps: list[tuple[int, float]]) -> None:
    buffer = JitterBuffer(max_wait_s=0.04, max_packets=8)
    now = 0.0
    came: dict[int, float] = {}
    for offset, wait_s in steps:
        now += wait_s
        # The owner polls as often as it likes; whatever is due leaves then.
        for ordered in buffer.poll(now):
            came.pop(ordered.packet.seq)
        assert all(now - at < 0.04 for at in came.values())
        late = buffer.late
        ready = buffer.push(packet(offset), now)
        if late == buffer.late:
            came.setdefault(offset, now)
        for ordered in ready:
            came.pop(ordered.packet.seq)
        assert len(came) < 8
