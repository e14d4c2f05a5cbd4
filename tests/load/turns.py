"""Speed and accuracy of turn taking, with the whole stack between a caller and engines of fixed latency.

Media worker, pipeline worker, broker and voice activity detection are real. Recognition, language model and speech have
fixed latency and speak in tone words, so every word that was heard is known exactly. The last part uses the voice that
Antiphon ships. All figures are measured in the audio that the caller sent and received.
"""

import asyncio
import itertools
import time
from collections import Counter

from shared.audio import Pcm
from tests.load import spoken_turns
from tests.load.bench_report import BenchReport
from tests.load.conversation import (
    ENDPOINTING_MS,
    LM_MS,
    NEXT_TURN_S,
    REPLY_TIMEOUT_S,
    STT_MS,
    Bench,
    Conversation,
    Definition,
    Sounds,
    agent,
    callers_sounds,
    everybody,
    running_bench,
)
from tests.load.delays import Delays
from tests.load.talking_caller import RATE
from tests.load.tone_words import words_in

_CALLERS = 8
_TTS_MS = 100
_QUESTIONS = 6
_BARGE_INS = 200
_FALSE_ALARMS = 4
_LONG_REPLY_WORDS = 40
_PAUSE_S = 0.1
"""A silence within the agent's words that is longer than the gaps between them."""

_FIRST_AUDIO_P95_MS = 60.0
_BARGE_IN_P50_MS, _BARGE_IN_P95_MS = 180.0, 250.0
_RESUMED_MS = 1_000.0
_SAVED_P50_MS = 100.0
_WORDS_OFF = 1.0


def run(report: BenchReport) -> None:
    asyncio.run(_run(report))


async def _run(report: BenchReport) -> None:
    sounds = await callers_sounds()
    plain = await _first_audio(report, sounds, _agent("steady", 4, speculative=False))
    early = await _first_audio(report, sounds, _agent("early", 4))
    report.bar("first audio beyond endpointing and engines, p95 ms", plain.percentile(95), _FIRST_AUDIO_P95_MS, "lower")
    saved = plain.percentile(50) - early.percentile(50)
    report.bar("first audio saved by speculative replies, p50 ms", saved, _SAVED_P50_MS, "higher")
    # Every second caller gets an agent whose voice has no word times.
    untimed = _agent("untimed", _LONG_REPLY_WORDS, word_times=False)
    async with running_bench(sounds, _agent("talkative", _LONG_REPLY_WORDS), untimed) as bench:
        await _barge_ins(report, bench, "talkative", "untimed")
    judging = _agent("judging", _LONG_REPLY_WORDS, judging=True)
    async with running_bench(sounds, _agent("early", 4), judging) as bench:
        await asyncio.gather(_false_starts(report, bench), _false_alarms(report, bench))
    await spoken_turns.measure(report, sounds)


def _agent(
    name: str, words: int, *, speculative: bool = True, judging: bool = False, word_times: bool = True
) -> Definition:
    options = {"first_audio_ms": _TTS_MS, "word_times": word_times}
    voice = {"engine": "tests.load.engines.fixed_tts:FixedTextToSpeechProvider", "options": options}
    return agent(name, reply={"words": words}, voice=voice, speculative=speculative, judging=judging)


async def _first_audio(report: BenchReport, sounds: Sounds, definition: Definition) -> Delays:
    expected_s = (ENDPOINTING_MS + STT_MS + LM_MS + _TTS_MS) / 1000
    async with running_bench(sounds, definition) as bench:
        delays = Delays(bench.watch)

        async def call(conversation: Conversation) -> None:
            for _ in range(_QUESTIONS):
                ended_s, first_s = await conversation.ask(sounds.question)
                delays.add(first_s, first_s - ended_s - expected_s)
                await conversation.caller.agent_falls_silent(first_s, REPLY_TIMEOUT_S)
                await asyncio.sleep(NEXT_TURN_S * (1 + conversation.rng.random()))

        await everybody(bench, call, _CALLERS, definition["id"])
    delays.row(report, f"first audio beyond endpointing and engines, {definition['id']} replies")
    return delays


async def _false_starts(report: BenchReport, bench: Bench) -> None:
    """Callers go on after a reply was prepared. It must be discarded without a trace."""
    leaked, unsaid = 0, 0

    async def call(conversation: Conversation) -> None:
        nonlocal leaked, unsaid
        for turn in range(_QUESTIONS):
            ended_s, first_s = await conversation.ask(bench.sounds.question_with_a_pause)
            silent_s = await conversation.caller.agent_falls_silent(first_s, REPLY_TIMEOUT_S)
            recorded = await conversation.recorded(turn)
            heard = _words(conversation.caller.heard(ended_s, silent_s))
            leaked += sum((Counter(recorded) - Counter(heard)).values())
            unsaid += sum((Counter(heard) - Counter(recorded)).values())
            await asyncio.sleep(NEXT_TURN_S)

    await everybody(bench, call, _CALLERS, "early")
    turns = _CALLERS * _QUESTIONS
    report.add(what="questions with a pause, early replies: words recorded but not heard, or heard only", n=turns)
    report.bar("words of discarded replies in the history", leaked, 0, "lower")
    report.bar("words heard that are not in the history", unsaid, 0, "lower")


async def _barge_ins(report: BenchReport, bench: Bench, *agents: str) -> None:
    off: list[int] = []
    each = -(-_BARGE_INS // (2 * _CALLERS))
    silence = Delays(bench.watch)

    async def call(conversation: Conversation) -> None:
        caller = conversation.caller
        _, first_s = await conversation.ask(bench.sounds.question)
        for turn in range(each):
            await asyncio.sleep(0.5 + 2.5 * conversation.rng.random())
            said = asyncio.create_task(caller.say(bench.sounds.interruption))
            began_s = time.monotonic()
            silent_s = await caller.agent_falls_silent(began_s, REPLY_TIMEOUT_S)
            interruption = await said
            silence.add(silent_s, silent_s - interruption.began_s)
            recorded = await conversation.recorded(turn)
            heard = _words(caller.heard(first_s, silent_s))
            same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(recorded, heard)))  # noqa: B905 (the lengths differ)
            off.append(max(len(recorded), len(heard)) - same)
            first_s = await caller.agent_begins(interruption.ended_s, REPLY_TIMEOUT_S)

    await everybody(bench, call, 2 * _CALLERS, *agents)
    silence.row(report, "barge-in: onset in the mouth -> agent silent in the ear")
    report.add(what="interrupted turns: words of the history that differ from the words heard", n=len(off))
    report.bar("barge-in p50 ms", silence.percentile(50), _BARGE_IN_P50_MS, "lower")
    report.bar("barge-in p95 ms", silence.percentile(95), _BARGE_IN_P95_MS, "lower")
    report.bar(f"words off in the worst of {len(off)} interrupted turns", max(off), _WORDS_OFF, "lower")


async def _false_alarms(report: BenchReport, bench: Bench) -> None:
    paused, wrong = 0, 0
    resumed = Delays(bench.watch)

    async def call(conversation: Conversation) -> None:
        nonlocal paused, wrong
        caller = conversation.caller
        for turn in range(_FALSE_ALARMS):
            ended_s, _ = await conversation.ask(bench.sounds.question)
            await asyncio.sleep(1.0 + 2 * conversation.rng.random())
            cough = await caller.say(bench.sounds.murmur if turn % 2 else bench.sounds.cough)
            recorded = await conversation.recorded(turn, REPLY_TIMEOUT_S)
            quiet_s = await caller.agent_falls_silent(cough.ended_s, REPLY_TIMEOUT_S)
            paused_s, again_s = caller.longest_silence(cough.began_s, cough.ended_s + 2 * _RESUMED_MS / 1000)
            if again_s - paused_s > _PAUSE_S:
                paused += 1
                resumed.add(again_s, again_s - cough.ended_s)
            heard = _words(caller.heard(ended_s, quiet_s))
            wrong += heard != recorded or len(heard) != _LONG_REPLY_WORDS
            await asyncio.sleep(NEXT_TURN_S)

    await everybody(bench, call, _CALLERS, "judging")
    total = _CALLERS * _FALSE_ALARMS
    resumed.row(report, "false alarm: its end -> the agent goes on", paused=paused)
    report.bar("false alarm: agent goes on within ms, worst", resumed.percentile(100), _RESUMED_MS, "lower")
    report.bar("false alarms that made the agent pause, share", paused / total, 0.5, "higher")
    report.bar("replies that lost or repeated a word over a false alarm", wrong, 0, "lower")


def _words(pcm: Pcm) -> list[str]:
    return [word.text for word in words_in(pcm, RATE)]
