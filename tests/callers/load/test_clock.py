import asyncio
import time

from callers.load.clock import Clock


class Sender:
    def __init__(self, is_connected: bool = True) -> None:
        self.is_connected = is_connected
        self.sent_s: list[float] = []

    def send_next(self, now_s: float) -> None:
        self.sent_s.append(now_s)


async def run_for(clock: Clock, seconds: float) -> None:
    task = asyncio.create_task(clock.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_each_sends_a_packet_every_20_ms_and_they_take_turns() -> None:
    clock, senders = Clock(), [Sender() for _ in range(8)]
    for sender in senders:
        clock.add(sender)
    began_s = time.monotonic()
    await run_for(clock, 0.5)
    due = (time.monotonic() - began_s) / 0.02
    assert all(abs(len(sender.sent_s) - due) <= 2 for sender in senders)
    assert len(clock.take_lateness_ms()) >= len(senders[0].sent_s) * 4 - 4
    assert clock.take_lateness_ms() == []


async def test_who_has_left_or_lost_the_connection_sends_nothing() -> None:
    clock, left, lost = Clock(), Sender(), Sender(is_connected=False)
    for sender in (left, lost):
        clock.add(sender)
    clock.remove(left)
    await run_for(clock, 0.1)
    assert (left.sent_s, lost.sent_s) == ([], [])


async def test_after_a_stall_there_is_no_flood() -> None:
    clock, sender = Clock(), Sender()
    clock.add(sender)
    task = asyncio.create_task(clock.run())
    await asyncio.sleep(0.1)
    time.sleep(0.8)  # noqa: ASYNC251 (the stall)
    stalled_s = time.monotonic()
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    after = [at for at in sender.sent_s if at >= stalled_s]
    assert len(after) <= 13, "10 packets in 200 ms, and not the 40 of the stall"
    assert max(clock.take_lateness_ms()) >= 700
