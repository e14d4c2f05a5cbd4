import asyncio
import socket
import time

import pytest
import uvloop
from structlog.testing import capture_logs

from media_worker.slot_clock import SLOT_S, SLOTS, SlotClock
from tests.fakes.counters import Gained
from tests.fakes.manual_loop import ManualLoop

PERIOD_S = SLOT_S * SLOTS


class Member:
    id = "s1"

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.closed: list[str] = []

    def tick(self, slot: int, now: float) -> None:
        self.slots.append(slot)

    def close(self, reason: str) -> None:
        self.closed.append(reason)


class BrokenMember(Member):
    def tick(self, slot: int, now: float) -> None:
        raise RuntimeError("broken")


class LeavingMember(Member):
    def __init__(self, clock: SlotClock) -> None:
        super().__init__()
        self._clock = clock

    def tick(self, slot: int, now: float) -> None:
        super().tick(slot, now)
        self._clock.leave(self)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> ManualLoop:
    manual = ManualLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: manual)
    return manual


@pytest.fixture
def lateness() -> list[float]:
    return []


@pytest.fixture
def clock(loop: ManualLoop, lateness: list[float]) -> SlotClock:
    clock = SlotClock(lateness.append, lambda: None)
    clock.start()
    return clock


def joined(clock: SlotClock, count: int) -> list[Member]:
    members = [Member() for _ in range(count)]
    for member in members:
        clock.join(member)
    return members


def test_each_member_ticks_once_a_period(clock: SlotClock, loop: ManualLoop) -> None:
    members = joined(clock, 10)
    loop.advance(100 * PERIOD_S)
    for member in members:
        assert len(member.slots) == 100
        assert {after - before for before, after in zip(member.slots, member.slots[1:], strict=False)} == {SLOTS}


def test_members_are_spread_over_the_slots(clock: SlotClock, loop: ManualLoop) -> None:
    members = joined(clock, 8)
    loop.advance(PERIOD_S)
    assert sorted(member.slots[0] for member in members) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_deadlines_are_absolute(clock: SlotClock, loop: ManualLoop, lateness: list[float]) -> None:
    (member,) = joined(clock, 1)
    for _ in range(200):
        loop.stall(0.003)
        loop.advance(PERIOD_S - 0.003)
    assert len(member.slots) == 200
    assert max(lateness) <= 3.001


def test_late_slots_are_caught_up_without_losing_a_frame(
    clock: SlotClock, loop: ManualLoop, lateness: list[float]
) -> None:
    (member,) = joined(clock, 1)
    loop.advance(PERIOD_S)
    loop.stall(0.1)
    loop.advance(0.001)
    assert len(member.slots) == 6
    assert max(lateness) == pytest.approx(95, abs=6)


def test_the_clock_of_a_process_that_is_always_late_goes_on(clock: SlotClock, loop: ManualLoop) -> None:
    (member,) = joined(clock, 1)
    for _ in range(40):
        loop.stall(0.03)
    assert len(member.slots) >= 5


def test_a_long_stall_is_skipped_and_counted(clock: SlotClock, loop: ManualLoop) -> None:
    skipped = Gained("antiphon_media_slots_skipped_total")
    (member,) = joined(clock, 1)
    loop.advance(PERIOD_S)
    loop.stall(1.0)
    loop.advance(0.001)
    assert len(member.slots) <= 3
    assert skipped() == pytest.approx(200, abs=2)
    assert clock.slot == pytest.approx(204, abs=2)
    loop.advance(10 * PERIOD_S)
    assert member.slots[-1] == pytest.approx(244, abs=SLOTS)


def test_a_member_that_left_no_longer_ticks_and_may_leave_again(clock: SlotClock, loop: ManualLoop) -> None:
    member, other = joined(clock, 2)
    loop.advance(PERIOD_S)
    clock.leave(member)
    clock.leave(member)
    loop.advance(PERIOD_S)
    assert (len(member.slots), len(other.slots)) == (1, 2)


def test_a_member_may_leave_while_it_ticks(clock: SlotClock, loop: ManualLoop) -> None:
    leaving = LeavingMember(clock)
    clock.join(leaving)
    others = joined(clock, 7)
    loop.advance(2 * PERIOD_S)
    assert len(leaving.slots) == 1
    assert [len(other.slots) for other in others] == [2] * 7


def test_one_callers_fault_does_not_stop_the_others(clock: SlotClock, loop: ManualLoop) -> None:
    broken = BrokenMember()
    clock.join(broken)
    others = joined(clock, 7)
    with capture_logs() as logs:
        loop.advance(3 * PERIOD_S)
    assert [len(other.slots) for other in others] == [3] * 7
    assert broken.closed == ["internal"]
    assert [line["event"] for line in logs] == ["tick_failed"]


def test_an_advanced_member_ticks_in_the_next_slot_and_once_a_period_from_there(
    clock: SlotClock, loop: ManualLoop
) -> None:
    (member,) = joined(clock, 1)
    loop.advance(2.5 * SLOT_S)
    assert member.slots == [0]
    clock.advance(member)
    loop.advance(SLOT_S)
    assert member.slots == [0, 2]
    loop.advance(2 * PERIOD_S)
    assert member.slots == [0, 2, 6, 10]


def test_a_crowded_slot_takes_no_advanced_member(clock: SlotClock, loop: ManualLoop) -> None:
    members = joined(clock, 40)
    loop.advance(0.5 * SLOT_S)
    for member in members:
        clock.advance(member)
    loop.advance(1.5 * SLOT_S)
    assert 10 < sum(member.slots == [0] for member in members) <= 16
    loop.advance(PERIOD_S)
    assert all(len(member.slots) >= 1 for member in members)


def test_a_member_skips_a_crowded_slot_when_advanced(clock: SlotClock, loop: ManualLoop) -> None:
    members = joined(clock, 40)
    late = [member for n, member in enumerate(members) if n % SLOTS == SLOTS - 1]
    loop.advance(0.5 * SLOT_S)
    for member in late:
        clock.advance(member)
    loop.advance(2 * SLOT_S)
    assert {member.slots[0] for member in late} == {0, 1}, "and not in their own, the last"
    assert all(len(member.slots) == 1 for member in late)


def test_a_member_advanced_repeatedly_ticks_once_a_period(clock: SlotClock, loop: ManualLoop) -> None:
    (member,) = joined(clock, 1)
    for _ in range(5):
        clock.advance(member)
    loop.advance(PERIOD_S)
    assert len(member.slots) == 1


def test_a_member_that_left_is_not_brought_back_by_its_last_talkspurt(clock: SlotClock, loop: ManualLoop) -> None:
    """The session had ended, and ticked until the process stopped."""
    (member,) = joined(clock, 1)
    clock.leave(member)
    clock.advance(member)
    loop.advance(PERIOD_S)
    assert member.slots == []


def test_after_stop_nothing_ticks(clock: SlotClock, loop: ManualLoop) -> None:
    (member,) = joined(clock, 1)
    clock.stop()
    loop.advance(1.0)
    assert member.slots == []


def test_after_a_slot_its_members_have_all_ticked(loop: ManualLoop) -> None:
    ticked: list[int] = []
    clock = SlotClock(lambda _: None, lambda: ticked.append(sum(len(member.slots) for member in members)))
    members = joined(clock, 8)
    clock.start()
    loop.advance(PERIOD_S)
    assert ticked == [2, 4, 6, 8]


async def test_runs_on_a_real_loop() -> None:
    clock = SlotClock(lambda _: None, lambda: None)
    enough = asyncio.Event()

    class Counting(Member):
        def tick(self, slot: int, now: float) -> None:
            super().tick(slot, now)
            if len(self.slots) == 5:
                enough.set()

    member = Counting()
    clock.join(member)
    clock.start()
    async with asyncio.timeout(10):
        await enough.wait()
    clock.stop()
    assert sorted(set(member.slots)) == member.slots


def test_a_busy_machine_put_silence_into_the_middle_of_a_word_whose_packets_had_come() -> None:
    """The process was held up while it took packets. Then uvloop ran the clock before it read what had come since."""
    happened: list[str] = []

    class Listener(Member):
        def tick(self, slot: int, now: float) -> None:
            happened.append("tick")

    async def hold_up_between_two_packets() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
        with ours, theirs:
            ours.setblocking(False)

            def on_readable() -> None:
                happened.append(ours.recv(10).decode())
                if happened[-1] == "first":
                    theirs.send(b"second")
                    time.sleep(0.1)

            loop.add_reader(ours.fileno(), on_readable)
            clock = SlotClock(lambda _: None, lambda: None)
            for _ in range(SLOTS):
                clock.join(Listener())
            clock.start()
            await asyncio.sleep(0.012)
            theirs.send(b"first")
            await asyncio.sleep(0.2)
            clock.stop()
            loop.remove_reader(ours.fileno())

    uvloop.run(hold_up_between_two_packets())
    at = happened.index("first")
    assert happened[at + 1] == "second"
    assert happened.count("tick") > 4
