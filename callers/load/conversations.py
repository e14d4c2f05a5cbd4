"""Callers who talk with an agent as a scenario file says, again and again.

They are those of `antiphon eval`, which synthesise, encode and decode what is said: one takes about 5 % of a core.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from callers.caller import Caller
from callers.load.measurements import Measurements
from callers.load.messages import Level, Measured, Tick
from callers.load.rtp_meter import RtpCounts, RtpMeter
from callers.load.tally import Figure, Tally
from callers.scenario.outcome import Outcome
from callers.scenario.performance import Fixtures, perform, prepare
from callers.scenario.scenario import Scenario
from callers.server import Server
from callers.voice import synthesizer

_FIGURES: Mapping[str, Figure] = {
    "first_audio_within": "first_audio_ms",
    "agent_silent_within": "barge_in_stop_ms",
}
_LOOK_EVERY_S = 0.05
_AGAIN_S = 1.0
"""After a caller could not connect: a full server must not be called without a pause."""
_SAMPLES_PER_PACKET = 960


class Conversations:
    """As `Crew`. Callers are those that hold a conversation; one that is over is followed by the next script's."""

    def __init__(self, server: Server, scripts: Sequence[str]) -> None:
        self._server = server
        self._scenarios = [Scenario.model_validate(json.loads(script)) for script in scripts]
        self._level = Level(callers=0, per_s=0)
        self._changed_s = time.monotonic()
        self._measurements = Measurements()
        self._talking: dict[asyncio.Task[None], RtpMeter] = {}
        self._connected = 0
        self._held = 0
        self._next_at_s = 0.0
        self._late_ms: list[float] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        async with synthesizer() as voices, asyncio.TaskGroup() as group:
            fixtures = [await prepare(scenario, voices) for scenario in self._scenarios]
            while True:
                due_s = time.monotonic() + _LOOK_EVERY_S
                for task in [task for task in self._talking if task.done()]:
                    self._judge(self._talking.pop(task).counts())
                if len(self._talking) < self._allowed() and time.monotonic() >= self._next_at_s:
                    number, self._held = self._held % len(fixtures), self._held + 1
                    meter = RtpMeter()
                    work = self._hold(self._scenarios[number], fixtures[number], meter)
                    self._talking[group.create_task(work)] = meter
                await asyncio.sleep(_LOOK_EVERY_S)
                self._late_ms.append(1000 * max(0.0, time.monotonic() - due_s))

    def bring_about(self, level: Level) -> None:
        """Fewer callers: those who talk finish first."""
        self._level = level
        self._changed_s = time.monotonic()
        self._measurements.begin_level()

    def measure(self) -> None:
        self._collect()
        self._measurements.begin_window()

    def tick(self) -> Tick:
        self._collect()
        settled = self._allowed() == self._level.callers and len(self._talking) == self._level.callers
        return self._measurements.tick(self._level.callers, self._connected, settled)

    def measured(self) -> Measured:
        self._collect()
        return self._measurements.measured(self._connected, Tally())

    def _allowed(self) -> int:
        """They arrive one after the other."""
        passed_s = time.monotonic() - self._changed_s
        return min(
            self._level.callers, int(passed_s * self._level.per_s) + 1 if self._level.per_s else self._level.callers
        )

    async def _hold(self, scenario: Scenario, fixtures: Fixtures, meter: RtpMeter) -> None:
        self._measurements.attempt()
        began_s = time.monotonic()
        was_connected = False

        def on_connected(caller: Caller) -> None:
            nonlocal was_connected
            was_connected = True
            self._connected += 1
            self._measurements.set_up_total(1000 * (time.monotonic() - began_s))
            caller.on_packet = take

        def take(packet: Any, arrived_s: float) -> None:
            meter.take(packet.ssrc, packet.sequence_number, packet.timestamp, arrived_s)

        try:
            outcome = await perform(Path(scenario.name), scenario, self._server, fixtures, on_connected)
            self._take(outcome, was_connected)
        except Exception as error:  # noqa: BLE001 (whatever aiortc raises fails this caller, not the run)
            self._measurements.fail(f"caller_{type(error).__name__}", str(error))
        finally:
            self._connected -= was_connected
            if not was_connected:
                self._next_at_s = time.monotonic() + _AGAIN_S

    def _take(self, outcome: Outcome, was_connected: bool) -> None:
        news = Tally()
        for figure in outcome.figures:
            if figure.what in _FIGURES:
                news.add(_FIGURES[figure.what], 1000 * figure.seconds)
        self._measurements.heard(news)
        if not outcome.passed:
            code = "not_as_scripted" if was_connected else "not_connected"
            self._measurements.fail(code, str(outcome.failures[0]))

    def _collect(self) -> None:
        news = Tally()
        late_ms, self._late_ms = self._late_ms, []
        for each in late_ms:
            news.add("caller_lateness_ms", each)
        for meter in self._talking.values():
            for lateness_ms in meter.take_lateness_ms():
                news.add("packet_lateness_ms", lateness_ms)
            for silence_ms in meter.take_silences_ms():
                self._measurements.move(silence_ms)
        self._measurements.heard(news)

    def _judge(self, counts: RtpCounts) -> None:
        """Of a whole call."""
        call = Tally()
        if counts.jitter_ms is not None:
            call.add("jitter_ms", counts.jitter_ms)
            call.packets_expected, call.packets_lost, call.loss_bursts = counts.expected, counts.lost, counts.bursts
            call.samples_heard = counts.expected * _SAMPLES_PER_PACKET
            call.samples_concealed = counts.concealed * _SAMPLES_PER_PACKET
        self._measurements.judge(call)
