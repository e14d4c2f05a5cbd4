"""One load run: brings about each level of load, lets it be measured, and writes down what was noticed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from callers.load.fleet import HELPER_LOST, Fleet
from callers.load.levels import Level
from callers.load.messages import Measured
from callers.load.results import CallerLoad, Point, ServerLoad, Stage
from callers.load.series import Series
from callers.load.server_watch import ServerWatch
from callers.load.tally import Tally

_SETTLE_S = 2.0
_SETTLE_TIMEOUT_S = 90.0
_LOOK_EVERY_S = 0.1


class Levels(Protocol):
    """Which levels to bring about, perhaps by what was measured. One of no duration is not measured."""

    def next(self) -> Level | None: ...

    def take(self, stage: Stage) -> None: ...


class Run:
    """`perform`, which ends early if `stop` is called. `stages` and `series` are what was measured until then."""

    def __init__(self, fleet: Fleet, watch: ServerWatch, on_point: Callable[[Point], None]) -> None:
        self._fleet = fleet
        self._watch = watch
        self._on_point = on_point
        self._stopped = asyncio.Event()
        self._wanted = 0
        self._began_s = time.monotonic()
        self.stages: list[Stage] = []
        self.series = Series()

    def stop(self) -> None:
        self._stopped.set()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_s

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    async def perform(
        self, levels: Levels, arrivals_per_s: float, call_s: float, on_stage: Callable[[Stage], None]
    ) -> None:
        """Until there is no other level, or all helpers are gone."""
        async with self._points():
            while not self.is_stopped and self._fleet.live and (level := levels.next()) is not None:
                began_s = self.seconds
                lost_before = self._fleet.lost_callers
                await self._bring_about(level, arrivals_per_s, call_s)
                if not level.hold_s:
                    continue
                stage = await self._stage(level, began_s, lost_before)
                self.stages.append(stage)
                if not self.is_stopped:
                    levels.take(stage)
                on_stage(stage)

    async def _bring_about(self, level: Level, arrivals_per_s: float, call_s: float) -> None:
        self._wanted = level.callers
        await self._fleet.bring_about(level.callers, arrivals_per_s, call_s)
        await self._settled(level.callers / arrivals_per_s + _SETTLE_TIMEOUT_S)
        await self._wait(_SETTLE_S)

    async def _stage(self, level: Level, began_s: float, lost_before: int) -> Stage:
        await self._fleet.measure()
        self._watch.begin()
        await self._wait(level.hold_s)
        measured = await self._fleet.report()
        tally = Tally()
        for each in measured:
            tally.merge(each.tally)
        if self._fleet.lost_callers > lost_before:
            tally.fail(HELPER_LOST, self._fleet.lost_callers - lost_before)
        return Stage(
            began_s=began_s,
            duration_s=max((each.seconds for each in measured), default=0.0),
            callers_wanted=level.callers,
            callers_connected=sum(each.connected for each in measured),
            attempts=tally.attempts,
            set_up=tally.set_up,
            audio=tally.audio,
            errors=tally.errors,
            callers=_caller_load(measured, tally),
            server=self._watch.load(),
            retries=tally.retries,
            moves=tally.moves,
        )

    async def _settled(self, timeout_s: float) -> None:
        give_up_s = time.monotonic() + timeout_s
        while time.monotonic() < give_up_s and not self.is_stopped:
            if all(helper.is_settled for helper in self._fleet.helpers):
                return
            await self._wait(_LOOK_EVERY_S)

    async def _wait(self, seconds: float) -> None:
        """Less if the run is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    @asynccontextmanager
    async def _points(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._note_points())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _note_points(self) -> None:
        while True:
            await asyncio.sleep(1)  # the series has a point a second; its owner cancels this
            point = self._point(self._fleet.take_unread(), self._watch.now())
            self.series.add(point)
            self._on_point(point)

    def _point(self, tally: Tally, server: ServerLoad | None) -> Point:
        set_up, delay = tally.spread("set_up_ms"), tally.spread("mouth_to_ear_ms")
        lateness = tally.spread("caller_lateness_ms")
        shares = [helper.latest.core_share for helper in self._fleet.live if helper.latest is not None]
        return Point(
            at_s=self.seconds,
            callers_wanted=self._wanted,
            callers_connected=self._fleet.connected,
            set_up_p50_ms=set_up and set_up.p50,
            set_up_p95_ms=set_up and set_up.p95,
            mouth_to_ear_p50_ms=delay and delay.p50,
            mouth_to_ear_p95_ms=delay and delay.p95,
            loss_percent=tally.loss_percent,
            caller_lateness_p95_ms=lateness and lateness.p95,
            callers_busiest_core_share=max(shares, default=None),
            moves=tally.moves,
            errors=tally.errors,
            server=server,
        )


def _caller_load(measured: Sequence[Measured], tally: Tally) -> CallerLoad:
    return CallerLoad(
        processes=len(measured),
        cores=sum(each.core_share for each in measured),
        busiest_core_share=max((each.core_share for each in measured), default=0.0),
        lateness_ms=tally.spread("caller_lateness_ms"),
        host_busy_percent=max((each.host_busy_percent for each in measured), default=None),
    )
