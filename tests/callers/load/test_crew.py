"""How callers come, try again, are replaced, are cut and leave; without a network."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from callers.load.crew import Crew
from callers.load.load_caller import LoadCaller
from callers.load.messages import Level, SetUpTimes
from callers.load.rtp_meter import RtpMeter
from callers.load.tally import Tally
from callers.signaling import NotConnected


class FakeCaller:
    """Hears itself at once, without loss."""

    def __init__(self, refusal: NotConnected | None) -> None:
        self._refusal = refusal
        self.meter = RtpMeter()
        self.first_audio = asyncio.Event()
        self.end_reason: str | None = None
        self.is_connected = False
        self.has_left = False
        self.ssrc = 7
        self._sent = 0

    async def call(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        self.is_connected = True

    @property
    def is_served(self) -> bool:
        return self.is_connected

    def set_up_times(self) -> SetUpTimes:
        return SetUpTimes(connect=1, place=2, sdp=3, ice=4, dtls=5, first_audio=6)

    def send_next(self, now_s: float) -> None:
        self._sent += 1
        self.meter.take(self.ssrc, self._sent & 0xFFFF, self._sent * 960, now_s)
        self.first_audio.set()

    def take_delays_ms(self) -> list[float]:
        return [80.0]

    async def leave(self) -> None:
        self.is_connected, self.has_left = False, True


class Server:
    """Makes callers, the first of which it refuses."""

    def __init__(self, *refusals: NotConnected) -> None:
        self._refusals = list(refusals)
        self.callers: list[FakeCaller] = []

    async def make_caller(self, index: int) -> LoadCaller:
        self.callers.append(FakeCaller(self._refusals.pop(0) if self._refusals else None))
        return cast(LoadCaller, self.callers[-1])

    def refuse(self, *refusals: NotConnected) -> None:
        self._refusals += refusals

    @property
    def present(self) -> int:
        return sum(caller.is_connected for caller in self.callers)


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Crew]:
    crew = Crew(server.make_caller, 0)
    task = asyncio.create_task(crew.run())
    await asyncio.sleep(0)
    try:
        yield crew
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert all(caller.has_left for caller in server.callers)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (fakes have no event)
            await asyncio.sleep(0.005)


def count(tally: Tally, figure: str) -> int:
    return sum(sketch.count for name, sketch in tally.sketches.items() if name == figure)


async def test_callers_come_are_measured_and_leave() -> None:
    server = Server()
    async with running(server) as crew:
        crew.bring_about(Level(callers=3, per_s=0))
        await until(lambda: server.present == 3)
        crew.measure()
        await asyncio.sleep(0.1)
        measured = crew.measured()
        assert (measured.connected, measured.tally.attempts, measured.tally.errors) == (3, 3, {})
        assert [count(measured.tally, name) for name in ("set_up_ms", "jitter_ms", "mos")] == [3, 3, 3]
        assert measured.tally.packets_expected > 6
        crew.bring_about(Level(callers=1, per_s=0))
        await until(lambda: server.present == 1)
        assert crew.tick().connected == 1


async def test_who_is_refused_comes_back_when_told_to() -> None:
    refusal = NotConnected("full", code="no_capacity", retry_after_ms=10)
    server = Server(refusal, refusal)
    async with running(server) as crew:
        crew.bring_about(Level(callers=1, per_s=0))
        assert not crew.tick().settled
        await until(lambda: server.present == 1)
        tally = crew.measured().tally
    assert (tally.attempts, tally.retries, tally.errors) == (3, 2, {"no_capacity": 2})


async def test_who_is_refused_for_good_or_too_often_gives_up() -> None:
    full = NotConnected("full", code="no_capacity", retry_after_ms=1)
    server = Server(NotConnected("no", code="token_required"))
    async with running(server) as crew:
        crew.bring_about(Level(callers=1, per_s=0))
        await until(lambda: crew.tick().settled)
        assert crew.measured().tally.errors == {"token_required": 1}
    server = Server(*[full] * 10)
    async with running(server) as crew:
        crew.bring_about(Level(callers=1, per_s=0))
        await until(lambda: crew.tick().settled)
        assert crew.measured().tally.errors == {"no_capacity": 4}


async def test_a_call_whose_time_is_over_is_followed_by_another() -> None:
    server = Server()
    async with running(server) as crew:
        crew.bring_about(Level(callers=2, per_s=0, call_s=0.05))
        await until(lambda: len(server.callers) >= 6)
        assert server.present <= 2
        tally = crew.measured().tally
    assert tally.errors == {}
    assert count(tally, "jitter_ms") >= 2, "of calls that are over too"


async def test_a_soak_has_all_its_callers_again_after_an_outage() -> None:
    server = Server()
    async with running(server) as crew:
        crew.bring_about(Level(callers=3, per_s=0, call_s=0.5))
        await until(lambda: [caller.first_audio.is_set() for caller in server.callers] == [True] * 3)
        for caller in server.callers:
            caller.end_reason = "media_worker_lost"
        server.refuse(*[NotConnected("away", code="connect_failed")] * 3)
        crew.tick()
        await until(lambda: crew.measured().tally.errors == {"cut_media_worker_lost": 3, "connect_failed": 3})
        await until(lambda: server.present == 3)
        await asyncio.sleep(0.6)  # until the next calls
        assert server.present <= 3


async def test_a_session_that_the_server_ends_is_counted_as_cut() -> None:
    server = Server()
    async with running(server) as crew:
        crew.bring_about(Level(callers=2, per_s=0))
        await until(lambda: server.present == 2)
        server.callers[0].end_reason = "media_worker_lost"
        tick = crew.tick()
        assert (tick.connected, tick.tally.errors) == (1, {"cut_media_worker_lost": 1})
        await until(lambda: server.callers[0].has_left)


async def test_a_session_that_moves_is_not_cut() -> None:
    server = Server()
    async with running(server) as crew:
        crew.bring_about(Level(callers=2, per_s=0))
        await until(lambda: [caller.first_audio.is_set() for caller in server.callers] == [True, True])
        crew.measure()
        server.callers[0].ssrc = 8
        await until(lambda: crew.tick().tally.moves == 1)
        measured = crew.measured()
        assert (measured.connected, measured.tally.moves, measured.tally.errors) == (2, 1, {})


async def test_callers_arrive_at_their_pace() -> None:
    server = Server()
    async with running(server) as crew:
        began_s = time.monotonic()
        crew.bring_about(Level(callers=3, per_s=20))
        await until(lambda: server.present == 3)
        assert time.monotonic() - began_s >= 0.1
        assert crew.tick().settled
