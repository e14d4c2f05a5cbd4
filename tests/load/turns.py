"""Turn taking with the whole stack between a caller and engines of fixed latency: how quick, and how true.

Media and pipeline workers, broker and voice activity detection are real; recognition, language model and speech take
the times that they are told and speak in tone words, so that what was heard is known word for word. All is measured
in the sound that the caller sent and received.
"""

import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from shared.audio import Pcm
from tests.integration.speech import CALLER_RATE, resampled, spoken
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.delays import Delays
from tests.load.steal import StealWatch, watching
from tests.load.talking_caller import RATE, TalkingCaller
from tests.load.tone_words import words_in

_CALLERS = 8
_ENDPOINTING_MS, _STT_MS, _LM_MS, _TTS_MS = 500, 150, 250, 100
_BARGE_IN_MS = 300
_COUGH_S = 0.18
_MURMUR_S = 0.5
"""Longer than `_BARGE_IN_MS`: only its words tell that it asks for nothing."""
_SHORT_MS = 1_400
"""A murmur with the quiet around it; the question is longer."""
_PAUSE_S = 0.1
"""A silence in the middle of the agent's words that is no gap between them."""
_QUESTIONS = 6
_BARGE_INS = 200
_FALSE_ALARMS = 5
_LONG_REPLY_WORDS = 40
_REPLY_TIMEOUT_S = 12.0
_NEXT_TURN_S = 0.5
_CALL_TIMEOUT_S = 150.0

_FIRST_AUDIO_P95_MS = 60.0
_BARGE_IN_P50_MS, _BARGE_IN_P95_MS = 180.0, 250.0
_RESUMED_MS = 1_000.0
_SAVED_P50_MS = 100.0
_WORDS_OFF = 1.0


class Sounds(NamedTuple):
    """What callers say, 16 kHz."""

    question: Pcm
    question_with_a_pause: Pcm
    interruption: Pcm
    cough: Pcm
    murmur: Pcm


class Bench(NamedTuple):
    signaling: stack.DirectSignaling
    agents: tuple[str, ...]
    """Callers take them in turn."""
    sounds: Sounds
    watch: StealWatch


Call = Callable[["Conversation"], Awaitable[None]]


class Conversation:
    """One caller's call, and what became of its turns."""

    def __init__(self, bench: Bench, index: int, rng: random.Random) -> None:
        self.caller = TalkingCaller(index)
        self.sounds = bench.sounds
        self.rng = rng
        self._bench = bench
        self._index = index

    @property
    def events(self) -> list[tuple[float, dict[str, Any]]]:
        return self._bench.signaling.events.get(self._bench.signaling.by_caller[self._index], [])

    def agent_transcripts(self) -> list[str]:
        return [e["data"]["text"] for _, e in self.events if e["type"] == "transcript" and e["data"]["role"] == "agent"]

    async def transcript_after(self, count: int, within_s: float = 5.0) -> str:
        """The agent's transcript number `count` (from 0)."""
        async with asyncio.timeout(within_s):
            while len(self.agent_transcripts()) <= count:  # noqa: ASYNC110 (another process has no event)
                await asyncio.sleep(0.02)
        return self.agent_transcripts()[count]

    async def ask(self, question: Pcm) -> tuple[float, float]:
        """(end of the question in the mouth, first audio in the ear)."""
        said = await self.caller.say(question)
        return said.ended_s, await self.caller.agent_begins(said.ended_s, _REPLY_TIMEOUT_S)


def run(report: BenchReport) -> None:
    asyncio.run(_run(report))


async def _run(report: BenchReport) -> None:
    sounds = await _sounds()
    plain = await _first_audio(report, sounds, "steady")
    early = await _first_audio(report, sounds, "early")
    report.bar("first audio beyond endpointing and engines, p95 ms", plain.percentile(95), _FIRST_AUDIO_P95_MS, "lower")
    saved = plain.percentile(50) - early.percentile(50)
    report.bar("first audio saved by speculative replies, p50 ms", saved, _SAVED_P50_MS, "higher")
    await _false_starts(report, sounds)
    await _barge_ins(report, sounds)
    await _false_alarms(report, sounds)


async def _first_audio(report: BenchReport, sounds: Sounds, agent: str) -> Delays:
    expected_s = (_ENDPOINTING_MS + _STT_MS + _LM_MS + _TTS_MS) / 1000
    async with _bench(agent, sounds) as bench:
        delays = Delays(bench.watch)

        async def call(conversation: Conversation) -> None:
            for _ in range(_QUESTIONS):
                ended_s, first_s = await conversation.ask(sounds.question)
                delays.add(first_s, first_s - ended_s - expected_s)
                await conversation.caller.agent_falls_silent(first_s, _REPLY_TIMEOUT_S)
                await asyncio.sleep(_NEXT_TURN_S * (1 + conversation.rng.random()))

        await _everybody(bench, call)
    delays.row(report, f"first audio beyond endpointing and engines, {agent} replies")
    return delays


async def _false_starts(report: BenchReport, sounds: Sounds) -> None:
    """Callers who go on when a reply was made ready: it is thrown away, and no word of it is ever found anywhere."""
    leaked, unsaid = 0, 0
    async with _bench("early", sounds) as bench:

        async def call(conversation: Conversation) -> None:
            nonlocal leaked, unsaid
            for turn in range(_QUESTIONS):
                ended_s, first_s = await conversation.ask(sounds.question_with_a_pause)
                silent_s = await conversation.caller.agent_falls_silent(first_s, _REPLY_TIMEOUT_S)
                recorded = (await conversation.transcript_after(turn)).replace(".", "").split()
                heard = _words(conversation.caller.heard(ended_s, silent_s))
                leaked += sum((Counter(recorded) - Counter(heard)).values())
                unsaid += sum((Counter(heard) - Counter(recorded)).values())
                await asyncio.sleep(_NEXT_TURN_S)

        await _everybody(bench, call)
    turns = _CALLERS * _QUESTIONS
    report.add(what="questions with a pause, early replies: words recorded but not heard, or heard only", n=turns)
    report.bar("words of discarded replies in the history", leaked, 0, "lower")
    report.bar("words heard that are not in the history", unsaid, 0, "lower")


async def _barge_ins(report: BenchReport, sounds: Sounds) -> None:
    off: list[int] = []
    each = -(-_BARGE_INS // (2 * _CALLERS))
    # Every other agent has a voice that does not tell when its words end.
    async with _bench("talkative", sounds, "untimed") as bench:
        silence = Delays(bench.watch)

        async def call(conversation: Conversation) -> None:
            caller = conversation.caller
            _, first_s = await conversation.ask(sounds.question)
            for turn in range(each):
                await asyncio.sleep(0.5 + 2.5 * conversation.rng.random())
                said = asyncio.create_task(caller.say(sounds.interruption))
                began_s = time.monotonic()
                silent_s = await caller.agent_falls_silent(began_s, _REPLY_TIMEOUT_S)
                interruption = await said
                silence.add(silent_s, silent_s - interruption.began_s)
                recorded = (await conversation.transcript_after(turn)).replace(".", "").split()
                heard = _words(caller.heard(first_s, silent_s))
                same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(recorded, heard)))  # noqa: B905 (the lengths differ)
                off.append(max(len(recorded), len(heard)) - same)
                first_s = await caller.agent_begins(interruption.ended_s, _REPLY_TIMEOUT_S)

        await _everybody(bench, call, callers=2 * _CALLERS)
    silence.row(report, "barge-in: onset in the mouth -> agent silent in the ear")
    report.add(what="interrupted turns: words of the history that differ from the words heard", n=len(off))
    report.bar("barge-in p50 ms", silence.percentile(50), _BARGE_IN_P50_MS, "lower")
    report.bar("barge-in p95 ms", silence.percentile(95), _BARGE_IN_P95_MS, "lower")
    report.bar(f"words off in the worst of {len(off)} interrupted turns", max(off), _WORDS_OFF, "lower")


async def _false_alarms(report: BenchReport, sounds: Sounds) -> None:
    paused, wrong = 0, 0
    async with _bench("judging", sounds) as bench:
        resumed = Delays(bench.watch)

        async def call(conversation: Conversation) -> None:
            nonlocal paused, wrong
            caller = conversation.caller
            for turn in range(_FALSE_ALARMS):
                ended_s, _ = await conversation.ask(sounds.question)
                await asyncio.sleep(1.0 + 2 * conversation.rng.random())
                cough = await caller.say(sounds.murmur if turn % 2 else sounds.cough)
                recorded = (await conversation.transcript_after(turn, _REPLY_TIMEOUT_S)).replace(".", "").split()
                quiet_s = await caller.agent_falls_silent(cough.ended_s, _REPLY_TIMEOUT_S)
                paused_s, again_s = caller.longest_silence(cough.began_s, cough.ended_s + 2 * _RESUMED_MS / 1000)
                if again_s - paused_s > _PAUSE_S:
                    paused += 1
                    resumed.add(again_s, again_s - cough.ended_s)
                heard = _words(caller.heard(ended_s, quiet_s))
                wrong += heard != recorded or len(heard) != _LONG_REPLY_WORDS
                await asyncio.sleep(_NEXT_TURN_S)

        await _everybody(bench, call)
    total = _CALLERS * _FALSE_ALARMS
    resumed.row(report, "false alarm: its end -> the agent goes on", paused=paused)
    report.bar("false alarm: agent goes on within ms, worst", resumed.percentile(100), _RESUMED_MS, "lower")
    report.bar("false alarms that made the agent pause, share", paused / total, 0.5, "higher")
    report.bar("replies that lost or repeated a word over a false alarm", wrong, 0, "lower")


async def _everybody(bench: Bench, call: Call, callers: int = _CALLERS) -> None:
    async def one(index: int) -> None:
        conversation = Conversation(bench, index, random.Random(index))
        agent = bench.agents[index % len(bench.agents)]
        exchange = lambda sdp: bench.signaling.exchange(index, sdp, agent)  # noqa: E731 (bound to this caller)
        async with asyncio.timeout(_CALL_TIMEOUT_S), conversation.caller.connected(exchange):
            await asyncio.sleep(0.5 + conversation.rng.random())
            await call(conversation)

    await asyncio.gather(*(one(index) for index in range(callers)))


@contextlib.asynccontextmanager
async def _bench(agent: str, sounds: Sounds, *others: str) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory() as folder, stack.running_broker() as (url, _):
        for definition in _agents():
            (Path(folder) / f"{definition['id']}.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
        settings = {
            "ANTIPHON_REDIS_URL": url,
            "ANTIPHON_PUBLIC_IPS": "127.0.0.1",
            "ANTIPHON_LOG_LEVEL": "error",
            "ANTIPHON_AGENTS_DIR": folder,
            "ANTIPHON_PIPELINE_CAPACITY": str(4 * _CALLERS),
        }
        with (
            stack.running("media_worker", stack.SERVER_CORE, **settings),
            stack.running("pipeline_worker", stack.LOAD_CORE, **settings),
        ):
            async with stack.direct_signaling(url, None) as signaling, watching() as watch:
                await stack.pipeline_worker_there(signaling.client)
                yield Bench(signaling, (agent, *others), sounds, watch)


def _agents() -> Sequence[dict[str, Any]]:
    def agent(name: str, words: int, speculative: bool, short_ms: int = 0, word_times: bool = True) -> dict[str, Any]:
        return {
            "id": name,
            "name": name,
            "speech_to_text": {
                "engine": "tests.load.engines.fixed_stt",
                "options": {"final_ms": _STT_MS, "short_ms": short_ms},
            },
            "language_model": {
                "engine": "tests.load.engines.fixed_lm",
                "options": {"first_token_ms": _LM_MS, "words": words},
            },
            "text_to_speech": {
                "engine": "tests.load.engines.fixed_tts",
                "options": {"first_audio_ms": _TTS_MS, "word_times": word_times},
            },
            "turn_taking": {
                "endpointing_ms": _ENDPOINTING_MS,
                "max_endpointing_ms": _ENDPOINTING_MS,
                "adaptive": False,
                "speculative": speculative,
                "barge_in_ms": _BARGE_IN_MS,
            },
        }

    return [
        agent("steady", 4, False),
        agent("early", 4, True),
        agent("talkative", _LONG_REPLY_WORDS, True),
        agent("untimed", _LONG_REPLY_WORDS, True, word_times=False),
        agent("judging", _LONG_REPLY_WORDS, True, short_ms=_SHORT_MS),
    ]


async def _sounds() -> Sounds:
    question, interruption, cough = [
        resampled(_trimmed(pcm), CALLER_RATE, RATE)
        for pcm in await spoken("What do you have today?", "No wait, I meant something else.", "ah")
    ]
    pause = np.zeros(RATE * 2 // 5, np.int16)
    return Sounds(
        question,
        np.concatenate([question, pause, question]),
        interruption,
        cough[: int(_COUGH_S * RATE)],
        question[: int(_MURMUR_S * RATE)],
    )


def _trimmed(pcm: Pcm) -> Pcm:
    loud = np.flatnonzero(np.abs(pcm) > 300)
    return pcm[loud[0] : loud[-1] + 1]


def _words(pcm: Pcm) -> list[str]:
    return [word.text for word in words_in(pcm, RATE)]
