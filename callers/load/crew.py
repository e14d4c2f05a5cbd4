"""The callers of one process: they come, talk, are measured, and leave."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from callers.load.clock import Clock
from callers.load.load_caller import LoadCaller
from callers.load.measurements import Measurements
from callers.load.messages import Level, Measured, Tick
from callers.load.mos import mos
from callers.load.rtp_meter import RECEIVE_BUFFER_MS, RtpCounts
from callers.load.tally import Tally
from callers.signaling import NotConnected

_FIRST_AUDIO_TIMEOUT_S = 10.0
_TOGETHER = 64
_ATTEMPTS = 4
_LONGEST_RETRY_S = 10.0
_LEAVE_TOGETHER = 8
_SAMPLES_PER_PACKET = 960

MakeCaller = Callable[[int], Awaitable[LoadCaller]]
"""By the caller's number. Raises `NotConnected`."""


class Crew:
    """`run` all the time; `bring_about` a level; `tick` each second; `measure`, and then `measured`."""

    def __init__(self, make_caller: MakeCaller, first_index: int) -> None:
        self._make_caller = make_caller
        self._next_index = first_index
        self._clock = Clock()
        self._callers: dict[LoadCaller, RtpCounts] = {}
        """Those who have connected, and what they had counted when measuring began."""
        self._collected: dict[LoadCaller, RtpCounts] = {}
        self._room = asyncio.Semaphore(_TOGETHER)
        self._pending = 0
        """Callers of the level who have neither connected nor given up."""
        self._following = 0
        """The same of those who come in another one's place."""
        self._level = Level(callers=0, per_s=0)
        self._measurements = Measurements()
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until it is cancelled. Then all callers leave."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._clock.run()
        finally:
            await self._leave(list(self._callers))

    def bring_about(self, level: Level) -> None:
        self._level = level
        self._measurements.begin_level()
        missing = level.callers - self._present
        if missing > 0:
            self._pending += missing
            self._start(self._arrive(missing, level.per_s))
        elif missing < 0:
            self._start(self._leave(list(self._callers)[missing:]))

    def measure(self) -> None:
        gc.collect()
        gc.freeze()
        self._collect()
        self._measurements.begin_window()
        self._callers = {caller: caller.meter.counts() for caller in self._callers}

    def tick(self) -> Tick:
        self._collect()
        return self._measurements.tick(self._level.callers, self._served, self._pending == 0)

    def measured(self) -> Measured:
        self._collect()
        calls = Tally()
        for caller, earlier in self._callers.items():
            self._judge(caller.meter.counts().since(earlier), calls)
        return self._measurements.measured(self._served, calls)

    @property
    def _present(self) -> int:
        return len(self._callers) + self._pending + self._following

    @property
    def _served(self) -> int:
        return sum(caller.is_served for caller in self._callers)

    async def _arrive(self, count: int, per_s: float) -> None:
        began_s = time.monotonic()
        for number in range(count):
            if per_s:
                await asyncio.sleep(max(0.0, began_s + number / per_s - time.monotonic()))
            self._start(self._call(is_first=True))

    async def _call(self, is_first: bool) -> None:
        """One caller. When their time is over, another one follows, also if they could not connect or were cut."""
        try:
            caller = await self._connected()
        finally:
            self._pending -= is_first
            self._following -= not is_first
        if caller is not None:
            self._callers[caller] = caller.meter.counts()
            await self._first_audio(caller)
        if not self._level.call_s:
            return
        await asyncio.sleep(self._level.call_s)
        if caller in self._callers:
            await self._leave([caller])
        if self._present < self._level.callers:
            self._following += 1
            self._start(self._call(is_first=False))

    async def _connected(self) -> LoadCaller | None:
        """Tries again when the server says when to; None if that was in vain."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._measurements.retry()
            self._measurements.attempt()
            try:
                async with self._room:
                    caller = await self._attempted()
            except NotConnected as error:
                self._measurements.fail(error.code, error.message)
                if error.retry_after_ms is None or attempt + 1 == _ATTEMPTS:
                    return None
                await asyncio.sleep(min(_LONGEST_RETRY_S, error.retry_after_ms / 1000))
            except Exception as error:  # noqa: BLE001 (whatever aiortc raises fails this caller, not the run)
                self._measurements.fail(f"caller_{type(error).__name__}", str(error))
                return None
            else:
                self._clock.add(caller)
                return caller
        return None

    async def _attempted(self) -> LoadCaller:
        """Raises `NotConnected`."""
        index, self._next_index = self._next_index, self._next_index + 1
        caller = await self._make_caller(index)
        try:
            await caller.call()
        except BaseException:
            await caller.leave()
            raise
        return caller

    async def _first_audio(self, caller: LoadCaller) -> None:
        try:
            async with asyncio.timeout(_FIRST_AUDIO_TIMEOUT_S):
                await caller.first_audio.wait()
        except TimeoutError:
            self._measurements.fail("no_audio")
        self._measurements.set_up(caller.set_up_times())

    async def _leave(self, callers: list[LoadCaller]) -> None:
        for caller in callers:
            self._forget(caller)
        for start in range(0, len(callers), _LEAVE_TOGETHER):
            batch = callers[start : start + _LEAVE_TOGETHER]
            await asyncio.gather(*(caller.leave() for caller in batch), return_exceptions=True)

    def _forget(self, caller: LoadCaller) -> None:
        earlier = self._callers.pop(caller, None)
        if earlier is not None:
            call = Tally()
            self._judge(caller.meter.counts().since(earlier), call)
            self._measurements.judge(call)
        self._collected.pop(caller, None)
        self._clock.remove(caller)

    def _collect(self) -> None:
        """What callers have counted and heard since the last time."""
        news = Tally()
        for lateness_ms in self._clock.take_lateness_ms():
            news.add("caller_lateness_ms", lateness_ms)
        for caller in list(self._callers):
            self._collect_from(caller, news)
            if caller.end_reason is not None:
                self._measurements.fail(f"cut_{caller.end_reason}")
                self._forget(caller)
                self._start(self._leave([caller]))
        self._measurements.heard(news)

    def _collect_from(self, caller: LoadCaller, news: Tally) -> None:
        counts = caller.meter.counts()
        recent = counts.since(self._collected.get(caller, RtpCounts()))
        self._collected[caller] = counts
        for delay_ms in caller.take_delays_ms():
            news.add("mouth_to_ear_ms", delay_ms)
        for lateness_ms in caller.meter.take_lateness_ms():
            news.add("packet_lateness_ms", lateness_ms)
        for silence_ms in caller.meter.take_silences_ms():
            self._measurements.move(silence_ms)
        news.packets_expected += max(0, recent.expected)
        news.packets_lost += recent.lost
        news.loss_bursts += recent.bursts
        news.samples_heard += max(0, recent.expected) * _SAMPLES_PER_PACKET
        news.samples_concealed += max(0, recent.concealed) * _SAMPLES_PER_PACKET

    def _judge(self, counts: RtpCounts, call: Tally) -> None:
        """Not every caller listens, so the delay is that of those who do."""
        if counts.jitter_ms is None or counts.expected <= 0:
            return
        call.add("jitter_ms", counts.jitter_ms)
        delay_ms = self._measurements.delay_ms
        if delay_ms is not None:
            concealed_percent = 100 * counts.concealed / counts.expected
            call.add("mos", mos(delay_ms + RECEIVE_BUFFER_MS, concealed_percent, counts.burst_ratio))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None
        self._group.create_task(work)
