"""Calls with agents whose speech recognition and language model have fixed latency."""

import asyncio
import contextlib
import itertools
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from callers.voice import RATE as CALLER_RATE
from pipeline_worker.engines.resampling import resampled
from pipeline_worker.text.words import words_of
from shared.audio import Pcm
from tests.integration.speech import spoken
from tests.load import stack
from tests.load.steal import StealWatch, watching
from tests.load.talking_caller import RATE, TalkingCaller

ENDPOINTING_MS, STT_MS, LM_MS = 500, 150, 250
REPLY_TIMEOUT_S = 12.0
NEXT_TURN_S = 0.5
_BARGE_IN_MS = 300
_COUGH_S = 0.18
_MURMUR_S = 0.5
"""Longer than `_BARGE_IN_MS`: only its words show that it is not an interruption."""
_SHORT_MS = 1_400
"""A murmur with the silence around it is shorter, the question is longer."""
_CAPACITY = 32
_CALL_TIMEOUT_S = 150.0

Definition = dict[str, Any]
"""The content of an agent file."""


class Sounds(NamedTuple):
    """What callers say, at 16 kHz."""

    question: Pcm
    question_with_a_pause: Pcm
    interruption: Pcm
    cough: Pcm
    murmur: Pcm


class Bench(NamedTuple):
    signaling: stack.DirectSignaling
    sounds: Sounds
    watch: StealWatch
    numbers: Iterator[int]
    """The next free number of a caller."""


Call = Callable[["Conversation"], Awaitable[None]]


class Conversation:
    """One call, with the transcripts of its turns."""

    def __init__(self, bench: Bench, index: int) -> None:
        self.caller = TalkingCaller(index)
        self.sounds = bench.sounds
        self.rng = random.Random(index)
        self._bench = bench
        self._index = index

    @property
    def events(self) -> list[tuple[float, dict[str, Any]]]:
        return self._bench.signaling.events.get(self._bench.signaling.by_caller[self._index], [])

    def agent_transcripts(self) -> list[str]:
        return [e["data"]["text"] for _, e in self.events if e["type"] == "transcript" and e["data"]["role"] == "agent"]

    async def recorded(self, turn: int, within_s: float = 5.0) -> list[str]:
        """The words of the agent's transcript of this turn (from 0), in lower case."""
        async with asyncio.timeout(within_s):
            while len(self.agent_transcripts()) <= turn:  # noqa: ASYNC110 (another process has no event)
                await asyncio.sleep(0.02)
        return words_of(self.agent_transcripts()[turn])

    async def ask(self, question: Pcm) -> tuple[float, float]:
        """(end of the question at the mouth, first audio at the ear)."""
        said = await self.caller.say(question)
        return said.ended_s, await self.caller.agent_begins(said.ended_s, REPLY_TIMEOUT_S)


async def everybody(bench: Bench, call: Call, callers: int, *agents: str) -> None:
    """Run `call` with this many callers at once. The agents take turns."""

    async def one(agent: str) -> None:
        index = next(bench.numbers)
        conversation = Conversation(bench, index)
        exchange = lambda sdp: bench.signaling.exchange(index, sdp, agent)  # noqa: E731 (bound to this caller)
        async with asyncio.timeout(_CALL_TIMEOUT_S), conversation.caller.connected(exchange):
            await asyncio.sleep(0.5 + conversation.rng.random())
            await call(conversation)

    await asyncio.gather(*(one(agents[number % len(agents)]) for number in range(callers)))


@contextlib.asynccontextmanager
async def running_bench(sounds: Sounds, *agents: Definition) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory() as folder, stack.running_broker() as (url, _):
        for definition in agents:
            (Path(folder) / f"{definition['id']}.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
        settings = {
            "ANTIPHON_REDIS_URL": url,
            "ANTIPHON_PUBLIC_IPS": "127.0.0.1",
            "ANTIPHON_LOG_LEVEL": "error",
            "ANTIPHON_AGENTS_DIR": folder,
            "ANTIPHON_PIPELINE_CAPACITY": str(_CAPACITY),
        }
        with (
            stack.running("media_worker", stack.SERVER_CORE, **settings),
            stack.running("pipeline_worker", stack.LOAD_CORE, **settings),
        ):
            async with stack.direct_signaling(url, None) as signaling, watching() as watch:
                await stack.pipeline_worker_there(signaling.client)
                yield Bench(signaling, sounds, watch, itertools.count())


def agent(
    name: str, *, reply: dict[str, Any], voice: dict[str, Any], speculative: bool = True, judging: bool = False
) -> Definition:
    """`reply` has options of the language model. With `judging`, the recogniser hears "uh-huh" in a short sound."""
    return {
        "id": name,
        "name": name,
        "speech_to_text": {
            "engine": "tests.load.engines.fixed_stt:FixedSpeechToTextProvider",
            "options": {"final_ms": STT_MS, "short_ms": _SHORT_MS if judging else 0},
        },
        "language_model": {
            "engine": "tests.load.engines.fixed_lm:FixedLanguageModelProvider",
            "options": {"first_token_ms": LM_MS, **reply},
        },
        "text_to_speech": voice,
        "turn_taking": {
            "endpointing_ms": ENDPOINTING_MS,
            "max_endpointing_ms": ENDPOINTING_MS,
            "adaptive": False,
            "speculative": speculative,
            "barge_in_ms": _BARGE_IN_MS,
        },
    }


async def callers_sounds() -> Sounds:
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
