"""Performs one scenario in one call."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, assert_never

from callers.call_record import HEARD_RATE
from callers.caller import Caller
from callers.noise import noise
from callers.scenario.expectation import AudibleFor, Expectation, NoEvent, NoTranscript, NoWordsLost, SpokenText
from callers.scenario.outcome import Failure, Figure, Outcome, timeline
from callers.scenario.scenario import (
    Backchannel,
    BargeIn,
    HangUp,
    Interrupt,
    Mute,
    Noise,
    Pause,
    Press,
    Release,
    Say,
    Scenario,
    Step,
    Type,
    WaitFor,
)
from callers.scenario.verdicts import Moment, Verdict, judge
from callers.server import Server
from callers.voice import RATE, Synthesizer
from pipeline_worker.engines.resampling import resampled
from shared.audio import Pcm
from shared.errors import AntiphonError

_LOOK_EVERY_S = 0.02
_AFTER_END_S = 1.0
"""Events and audio may still arrive after the end of the call."""
_ROOM_TIMEOUT_S = 60.0
"""How long to retry while the server has no room."""
_SOUND_TIMEOUT_S = 10.0
"""In addition to its length."""
_LATE_S = 0.06
"""A server takes a longer gap between packets for silence, in the middle of a word too."""

_Audible = Say | BargeIn | Backchannel | Noise


class _Stuck(Exception):
    """A wait timed out. The next steps would be meaningless or time out too."""


class Fixtures(NamedTuple):
    """Sounds of a scenario. Synthesised before the call, because that takes time."""

    sounds: Mapping[int, Pcm]
    """The caller's sound of each step that has one, at 48 kHz."""
    known: Mapping[SpokenText, Pcm]
    """The agent's expected sound of each text, at `HEARD_RATE`."""


async def prepare(scenario: Scenario, voices: Synthesizer) -> Fixtures:
    """Raises `EngineError`."""
    sounds = {}
    for index, step in enumerate(scenario.steps):
        if isinstance(step, Noise):
            sounds[index] = await noise(step.noise.kind, step.noise.duration, step.noise.level_db, voices)
        elif isinstance(step, _Audible):
            sounds[index] = await voices.speech(step.text, step.voice_after(scenario.voice))
    expectations = [*scenario.expect, *(one for step in scenario.steps for one in step.expect)]
    texts = [one.no_words_lost for one in expectations if isinstance(one, NoWordsLost)]
    known = {text: resampled(await voices.speech(text.text, text.spoken_by), RATE, HEARD_RATE) for text in texts}
    return Fixtures(sounds, known)


async def perform(
    file: Path,
    scenario: Scenario,
    server: Server,
    fixtures: Fixtures,
    on_connected: Callable[[Caller], None] = lambda _: None,
) -> Outcome:
    """Call, do all steps, check the expectations, hang up. Retries while the server has no room."""
    outcome = Outcome(file, scenario.name)
    clock = asyncio.get_running_loop().time
    url, make_token = server.signaling_url, partial(server.token, scenario.agent)
    began_s = clock()
    while True:
        try:
            async with Caller(url, scenario.agent, gateways=[url], make_token=make_token) as caller:
                on_connected(caller)
                try:
                    await Performance(scenario, caller, fixtures, outcome).run()
                finally:
                    outcome.timeline = timeline(caller.record)
        except AntiphonError as error:
            if error.retry_after_ms is not None and clock() - began_s < _ROOM_TIMEOUT_S:
                await asyncio.sleep(error.retry_after_ms / 1000)
                continue
            outcome.failures.append(Failure("the call", "to be possible", error.message))
        outcome.seconds = clock() - began_s
        return outcome


class Performance:
    """The steps of one scenario, by a caller who is connected."""

    def __init__(self, scenario: Scenario, caller: Caller, fixtures: Fixtures, outcome: Outcome) -> None:
        self._scenario = scenario
        self._caller = caller
        self._record = caller.record
        self._fixtures = fixtures
        self._outcome = outcome
        self._clock = asyncio.get_running_loop().time
        self._moment = Moment(self._record, self._clock(), self._record.began_s, known=fixtures.known)
        self._where = ""

    async def run(self) -> None:
        try:
            for index, step in enumerate(self._scenario.steps):
                self._where = f"step {index + 1} ({step.verb()})"
                await self._do(index, step)
                await self._expect(step.expect)
            self._where = "at the end"
            self._moment = self._moment._replace(since_s=self._record.began_s)
            await self._expect(self._scenario.expect)
        except _Stuck:
            return

    async def _do(self, index: int, step: Step) -> None:
        match step:
            case Say() | BargeIn() | Backchannel() | Noise():
                await self._make_sound(step, self._fixtures.sounds[index])
            case Type(type=text):
                self._send(f'types "{text}"', type="text", text=text)
            case Interrupt():
                self._send("presses stop", type="interrupt")
            case Mute(mute=muted):
                self._caller.microphone.muted = muted
                self._send("mutes" if muted else "unmutes", type="mute", muted=muted)
            case Press():
                self._send("presses the button to talk", type="talk", pressed=True)
            case Release():
                self._send("releases the button to talk", type="talk", pressed=False)
            case HangUp():
                self._mark("hangs up")
                await self._caller.hang_up()
            case Pause(pause=pause_s):
                await asyncio.sleep(pause_s)
            case WaitFor(wait_for=expectation):
                await self._need(expectation)
            case _:
                assert_never(step)

    async def _make_sound(self, step: _Audible, samples: Pcm) -> None:
        if not isinstance(step, Say) and step.after is not None:
            await self._need(AudibleFor(audible_for=f"{step.after}s"))
        what = f"{step.noise.kind} noise" if isinstance(step, Noise) else f'says "{step.text}"'
        self._mark(what)
        sound = self._caller.microphone.play(samples)
        if isinstance(step, Noise) and step.background:
            return
        async with asyncio.timeout(sound.length_s + _SOUND_TIMEOUT_S):
            await sound.over.wait()
        self._moment = self._moment._replace(onset_s=sound.onset_s, end_s=sound.end_s)
        if sound.late_s > _LATE_S:
            self._record.note(self._clock(), f"was up to {sound.late_s:.2f} s late with that: this machine is busy")

    def _send(self, action: str, **message: object) -> None:
        self._mark(action)
        self._caller.send(**message)

    def _mark(self, action: str) -> None:
        """Record an action of the caller. Expectations count from now on."""
        now = self._clock()
        self._record.note(now, action)
        self._moment = Moment(self._record, now, since_s=now, onset_s=now, end_s=now, known=self._fixtures.known)

    async def _need(self, expectation: Expectation) -> None:
        verdict = await self._wait_for(expectation)
        if verdict.seconds is not None and expectation.limit_s is not None:
            self._outcome.figures.append(Figure(self._where, expectation.verb(), verdict.seconds, expectation.limit_s))
        if not verdict.holds:
            self._outcome.failures.append(Failure(self._where, expectation.describe(), verdict.found))
        if verdict.holds is None:
            raise _Stuck

    async def _expect(self, expectations: tuple[Expectation, ...]) -> None:
        """Checks what must not happen last, so that it has had time to happen."""
        for expectation in sorted(expectations, key=lambda one: isinstance(one, NoEvent | NoTranscript)):
            await self._need(expectation)

    async def _wait_for(self, expectation: Expectation) -> Verdict:
        patience_s = self._scenario.patience if expectation.within is None else expectation.within
        give_up_s = self._clock() + patience_s
        while True:
            now = self._clock()
            verdict = judge(expectation, self._moment._replace(now_s=now))
            if verdict.holds is not None:
                return verdict
            if self._record.ended_s is not None and now - self._record.ended_s > _AFTER_END_S:
                return verdict._replace(found=f"{verdict.found}, and the call is over ({self._record.end_reason})")
            if now >= give_up_s:
                return verdict._replace(found=f"{verdict.found}, after {patience_s:g} s")
            await asyncio.sleep(_LOOK_EVERY_S)
