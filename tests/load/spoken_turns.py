"""Barge-in and false alarms with the voice that Antiphon ships: real speech instead of tone words.

The voice needs CPU time, speaks in slices, and estimates word times from the intended lengths of its phonemes. A
recogniser tells which words were heard. Where replies are compared with the expected speech, the voice has no random
variation.
"""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline_worker.engines.piper.options import PiperOptions
from pipeline_worker.engines.piper.text_to_speech import PiperTextToSpeechProvider
from pipeline_worker.engines.resampling import resampled
from pipeline_worker.hearing.talkspurts import ONSET_MS
from shared.agent import AgentDefinition, EngineChoice
from shared.audio import Pcm
from tests.integration.speech import heard_words
from tests.load.bench_report import BenchReport
from tests.load.conversation import (
    NEXT_TURN_S,
    REPLY_TIMEOUT_S,
    Bench,
    Conversation,
    Sounds,
    agent,
    everybody,
    running_bench,
)
from tests.load.delays import Delays
from tests.load.spoken_words import RATE, TEXT, WORDS, Compared, compared, loud_s

_INTERRUPTERS, _BARGE_INS = 5, 8
_COUGHERS, _FALSE_ALARMS = 3, 2
_WHOLE_TIMEOUT_S = 25.0
_EARLIEST_S, _LATEST_S = 0.5, 5.5
"""The interruption comes in the first or second sentence of the reply."""
_NOISE_AFTER_S = 1.9, 2.4
"""At these times, the voice has no pause of its own until the noise is judged."""
_JUDGED_S = 1.5
_SILENT_AFTER_S = 0.8
"""Longer than the voice's pause between sentences."""
_PAUSE_S = 0.2

_BARGE_IN_P50_MS, _BARGE_IN_P95_MS = 180.0, 250.0
_WORDS_OFF = 1
_MISHEARD_SHARE = 0.05
"""Above this share, the recogniser is not reliable enough."""
_RESUMED_MS = 1_000.0
_DURATION_OFF_MS = 150.0


class _Reply(NamedTuple):
    """A reply that was interrupted, or continued over a noise."""

    recorded: list[str]
    heard: Pcm
    paused: bool = False


async def measure(report: BenchReport, sounds: Sounds) -> None:
    with _voice_without_variations() as model:
        expected_s = loud_s(await _said(model))
        alike = {"engine": "piper", "options": {"model": str(model)}}
        talkative = agent("talkative", reply={"text": TEXT}, voice={"engine": "piper"})
        judging = agent("judging", reply={"text": TEXT}, voice=alike, judging=True)
        async with running_bench(sounds, talkative, judging) as bench:
            silence, resumed = Delays(bench.watch), Delays(bench.watch)
            interrupted, whole = await asyncio.gather(_barge_ins(bench, silence), _false_alarms(bench, resumed))
    _report_barge_ins(report, silence, interrupted)
    _report_false_alarms(report, resumed, whole, expected_s)


async def _barge_ins(bench: Bench, silence: Delays) -> list[_Reply]:
    replies: list[_Reply] = []

    async def call(conversation: Conversation) -> None:
        caller = conversation.caller
        _, first_s = await conversation.ask(bench.sounds.question)
        for turn in range(_BARGE_INS):
            await asyncio.sleep(conversation.rng.uniform(_EARLIEST_S, _LATEST_S))
            said = asyncio.create_task(caller.say(bench.sounds.interruption))
            silent_s = await caller.agent_falls_silent(time.monotonic(), REPLY_TIMEOUT_S, _SILENT_AFTER_S)
            interruption = await said
            # A silence before the caller can be detected is a pause of the voice itself.
            if silent_s - interruption.began_s > ONSET_MS / 1000:
                silence.add(silent_s, silent_s - interruption.began_s)
            replies.append(_Reply(await conversation.recorded(turn), caller.heard(first_s, silent_s)))
            first_s = await caller.agent_begins(interruption.ended_s, REPLY_TIMEOUT_S)

    await everybody(bench, call, _INTERRUPTERS, "talkative")
    return replies


async def _false_alarms(bench: Bench, resumed: Delays) -> list[_Reply]:
    replies: list[_Reply] = []

    async def call(conversation: Conversation) -> None:
        caller = conversation.caller
        for turn in range(_FALSE_ALARMS):
            ended_s, _ = await conversation.ask(bench.sounds.question)
            await asyncio.sleep(conversation.rng.uniform(*_NOISE_AFTER_S))
            noise = await caller.say(bench.sounds.murmur if turn % 2 else bench.sounds.cough)
            recorded = await conversation.recorded(turn, _WHOLE_TIMEOUT_S)
            quiet_s = await caller.agent_falls_silent(noise.ended_s, REPLY_TIMEOUT_S, _SILENT_AFTER_S)
            paused_s, again_s = caller.longest_silence(noise.began_s, noise.ended_s + _JUDGED_S)
            paused = again_s - paused_s > _PAUSE_S
            if paused:
                resumed.add(again_s, again_s - noise.ended_s)
            replies.append(_Reply(recorded, caller.heard(ended_s, quiet_s), paused))
            await asyncio.sleep(NEXT_TURN_S)

    await everybody(bench, call, _COUGHERS, "judging")
    return replies


def _report_barge_ins(report: BenchReport, silence: Delays, replies: list[_Reply]) -> None:
    found = [compared(heard_words(reply.heard)) for reply in replies]
    off = [_words_off(reply.recorded, one) for reply, one in zip(replies, found, strict=True)]
    misheard = sum(one.misheard for one in found) / max(1, sum(one.understood for one in found))
    silence.row(report, "Piper, barge-in: onset in the mouth -> agent silent in the ear")
    report.add(
        what="Piper, interrupted turns: words of the history beyond those recognised in what was heard",
        n=len(off),
        mean_words=float(np.mean(off)),
        exact=off.count(0),
        misheard_share=misheard,
    )
    report.bar("Piper, barge-in p50 ms", silence.percentile(50), _BARGE_IN_P50_MS, "lower")
    report.bar("Piper, barge-in p95 ms", silence.percentile(95), _BARGE_IN_P95_MS, "lower")
    worst = max(map(abs, off))
    report.bar(f"Piper, words off in the worst of {len(off)} interrupted turns", worst, _WORDS_OFF, "lower")
    report.bar("Piper, words that the recogniser misheard, share", misheard, _MISHEARD_SHARE, "lower")


def _words_off(recorded: list[str], heard: Compared) -> int:
    """How many words the history differs by. If it is not a beginning of the text, all words are wrong."""
    if tuple(recorded) != WORDS[: len(recorded)]:
        return len(WORDS)
    more = len(recorded) - heard.understood
    gaps = heard.lost + heard.added
    return more + gaps if more >= 0 else more - gaps


def _report_false_alarms(report: BenchReport, resumed: Delays, replies: list[_Reply], expected_s: float) -> None:
    found = [compared(heard_words(reply.heard)) for reply in replies]
    off_ms = [(loud_s(reply.heard) - expected_s) * 1000 for reply in replies]
    wrong = sum(
        tuple(reply.recorded) != WORDS or one.understood != len(WORDS) or bool(one.lost + one.added)
        for reply, one in zip(replies, found, strict=True)
    )
    paused = sum(reply.paused for reply in replies)
    resumed.row(report, "Piper, false alarm: its end -> the agent goes on", paused=paused)
    report.bar("Piper, false alarm: agent goes on within ms, worst", resumed.percentile(100), _RESUMED_MS, "lower")
    report.bar("Piper, false alarms that made the agent pause, share", paused / len(replies), 0.5, "higher")
    report.bar("Piper, replies that lost or repeated a word over a false alarm", wrong, 0, "lower")
    worst = max(map(abs, off_ms))
    report.bar("Piper, speech too much or too little over a false alarm, worst ms", worst, _DURATION_OFF_MS, "lower")


@contextlib.contextmanager
def _voice_without_variations() -> Iterator[Path]:
    """The shipped voice without random variation."""
    shipped = PiperOptions().file
    described = json.loads(Path(f"{shipped}.json").read_text(encoding="utf-8"))
    described["inference"] |= {"noise_scale": 0.0, "noise_w": 0.0}
    with tempfile.TemporaryDirectory(prefix="antiphon-voice-") as folder:
        model = Path(folder) / shipped.name
        model.symlink_to(shipped)
        Path(f"{model}.json").write_text(json.dumps(described), encoding="utf-8")
        yield model


async def _said(model: Path) -> Pcm:
    """The text in this voice, at the rate of the recogniser."""
    choice = EngineChoice(engine="piper", options={"model": str(model)})
    definition = AgentDefinition(id="expected", name="Expected", text_to_speech=choice)
    provider = PiperTextToSpeechProvider()
    provider.add(definition)
    try:
        await provider.start()
        engine = provider.open(definition.id)
        pieces = [piece.samples async for piece in engine.speak(TEXT)]
        return resampled(np.concatenate(pieces), engine.sample_rate, RATE)
    finally:
        await provider.close()
