"""A report of a run that never was: a ramp of the echo agent to a knee at about 130 callers."""

import math
from random import Random

from callers.load.knee import KneeSearch
from callers.load.mos import mos
from callers.load.results import (
    Audio,
    CallerLoad,
    Environment,
    LoadReport,
    Point,
    RoleLoad,
    ServerLoad,
    SetUp,
    Spread,
    Stage,
)
from callers.load.sketch import Sketch

_CAPACITY = 138.0
_HOLD_S = 30


def sample_report(first: int = 20, most: int = 400, seed: int = 7) -> LoadReport:
    run = _Run(Random(seed))
    search = KneeSearch(first, most)
    while (step := search.next_step) is not None:
        search.take(run.measure(step.callers))
    return LoadReport(
        target_url="https://voice.example",
        agent="echo",
        scenario="ramp",
        parameters={"first": first, "most": most, "hold_s": _HOLD_S, "arrivals_per_s": 4},
        began="2026-03-02T09:30:00Z",
        duration_s=run.at_s,
        environment=Environment(hosts=["load-1", "load-2"], processes=8, version="0.1.0"),
        stages=run.stages,
        series=run.series,
        knee=search.knee,
    )


class _Run:
    def __init__(self, random: Random) -> None:
        self.at_s = 0.0
        self.stages: list[Stage] = []
        self.series: list[Point] = []
        self._random = random

    def measure(self, callers: int) -> Stage:
        began, before = self.at_s, self.series[-1].callers_wanted if self.series else 0
        rise = math.ceil(abs(callers - before) / 4)
        for second in range(rise + _HOLD_S):
            wanted = round(before + (callers - before) * min(1.0, (second + 1) / rise)) if rise else callers
            self._point(wanted, arriving=second < rise)
        stage = self._stage(began, callers)
        self.stages.append(stage)
        return stage

    def _over(self, callers: int) -> float:
        """0 while there is room, growing beyond."""
        return max(0.0, callers / _CAPACITY - 0.98)

    def _server(self, callers: int) -> ServerLoad:
        share, noise = callers / _CAPACITY, self._random.uniform(0.97, 1.03)
        over = self._over(callers)

        def role(processes: int, cores: float, memory_mb: float, lag_ms: float) -> RoleLoad:
            busiest = min(1.0, cores / processes * 1.06)
            return RoleLoad(
                processes=processes, cores=cores, busiest_core_share=busiest, memory_mb=memory_mb, loop_lag_ms=lag_ms
            )

        return ServerLoad(
            roles={
                "gateway": role(2, 0.05 + 0.18 * share * noise, 170 + 0.05 * callers, 0.8 * noise),
                "media_worker": role(
                    2, min(1.98, 0.1 + 1.62 * share * noise), 260 + 1.1 * callers, 2 * noise + 260 * over
                ),
                "pipeline_worker": role(2, 0.1 + 0.75 * share * noise, 540 + 0.7 * callers, 1.5 * noise),
                "broker": role(1, min(1.0, 0.03 + 0.21 * share * noise), 28 + 0.02 * callers, 0.0),
            },
            hop_p99_ms=2.1 * noise + 1.6 * share + 30 * over,
            broker_operations_per_s=700 + 19 * callers * noise,
        )

    def _times(self, middle_ms: float, width: float, count: int) -> Spread:
        found = Spread.of(Sketch.of(middle_ms * self._random.lognormvariate(0.0, width) for _ in range(count)))
        assert found is not None
        return found

    def _point(self, wanted: int, arriving: bool) -> None:
        over, random = self._over(wanted), self._random
        set_up = self._times(105 + 0.1 * wanted + 4200 * over, 0.2, 12) if arriving else None
        mouth_to_ear = self._times(118 + 0.12 * wanted + 900 * over, 0.07, 40)
        lost = round(random.uniform(0, 40 * over)) if over > 0.03 else 0
        self.series.append(
            Point(
                at_s=self.at_s,
                callers_wanted=wanted,
                callers_connected=max(0, wanted - round(wanted * over / 4)),
                set_up_p50_ms=set_up and set_up.p50,
                set_up_p95_ms=set_up and set_up.p95,
                mouth_to_ear_p50_ms=mouth_to_ear.p50,
                mouth_to_ear_p95_ms=mouth_to_ear.p95,
                loss_percent=min(100.0, 24 * over * random.uniform(0.7, 1.3)) if over > 0.02 else 0.0,
                caller_lateness_p95_ms=random.uniform(0.6, 1.4) + wanted / 120,
                callers_busiest_core_share=0.04 + wanted / 420 * random.uniform(0.95, 1.05),
                errors={"no_capacity": lost, "answer_timeout": lost // 4} if lost else {},
                server=self._server(wanted),
            )
        )
        self.at_s += 1.0

    def _stage(self, began: float, callers: int) -> Stage:
        over = self._over(callers)
        points = [point for point in self.series if point.at_s >= began]
        loss = 24 * over if over > 0.02 else 0.0
        mouth_to_ear = self._times(118 + 0.12 * callers + 900 * over, 0.07, 400)
        qualities = (mos(mouth_to_ear.p50 * self._random.uniform(0.95, 1.1), loss, 1.6) for _ in range(max(1, callers)))
        errors: dict[str, int] = {}
        for point in points:
            for code, count in point.errors.items():
                errors[code] = errors.get(code, 0) + count
        slow = 105 + 0.1 * callers + 4200 * over
        return Stage(
            began_s=began,
            duration_s=self.at_s - began,
            callers_wanted=callers,
            callers_connected=points[-1].callers_connected,
            attempts=callers,
            set_up=SetUp(
                total_ms=self._times(slow, 0.2, 200),
                connect_ms=self._times(9 + 30 * over, 0.3, 200),
                place_ms=self._times(28 + 0.05 * callers + 2600 * over, 0.3, 200),
                sdp_ms=self._times(14, 0.2, 200),
                ice_ms=self._times(16 + 500 * over, 0.3, 200),
                dtls_ms=self._times(36 + 0.05 * callers + 1100 * over, 0.3, 200),
                first_audio_ms=self._times(160, 0.2, 200),
            ),
            audio=Audio(
                first_audio_ms=self._times(620 + 1500 * over, 0.15, 200),
                barge_in_stop_ms=self._times(240 + 800 * over, 0.12, 200),
                mouth_to_ear_ms=mouth_to_ear,
                jitter_ms=self._times(1.2 + 40 * over, 0.3, 200),
                packet_lateness_ms=self._times(3 + 300 * over, 0.4, 400),
                loss_percent=loss,
                burst_ratio=1.6 if loss else None,
                concealed_percent=loss * 1.15 + 0.02,
                mos=Spread.of(Sketch.of(qualities)),
            ),
            errors=errors,
            callers=CallerLoad(
                processes=8,
                cores=callers / 70,
                busiest_core_share=0.04 + callers / 420,
                lateness_ms=self._times(1 + callers / 200, 0.3, 200),
            ),
            server=self._server(callers),
        )
