"""How long the recogniser takes when somebody speaks in real time, and what that costs of the processor.

The sound goes the worker's way, through its `Transcription`: 20 ms frames, once the voice activity detector would have
noticed it, with what came before.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence

from pipeline_worker.engines.protocols import SpeechToText
from pipeline_worker.hearing.transcription import Transcription
from pipeline_worker.turns.events import FinalText, InterimText
from shared.audio import UPLINK_RATE, samples_in
from shared.errors import EngineError
from tests.load.bench_report import BenchReport
from tests.load.delays import Delays
from tests.load.speech.engines import Spoken, cpu_s, in_a_room, piper, recogniser, say
from tests.load.speech.sentences import LONG, SENTENCES
from tests.load.steal import StealWatch, watching

_FRAME = samples_in(20, UPLINK_RATE)
_FRAME_S = 0.02
_PRE_ROLL_MS = 300
_NOTICED_FRAMES = 20
"""The pre-roll, and 100 ms of speech."""
_ENDPOINT_MS, _QUICK_ENDPOINT_MS = 500, 200
_UTTERANCES, _QUICK_UTTERANCES = 12, 8
_LONGEST_S = 8.0
_FINAL_P95_MS = 150.0
_ANSWER_TIMEOUT_S = 10.0


class _Call:
    """One utterance, and when its texts came."""

    def __init__(self, ears: SpeechToText) -> None:
        self.interims: list[tuple[float, str]] = []
        self.final: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.began_s = 0.0
        self._transcription = Transcription(ears, self._on_interim, self._on_final, self._on_failure)

    async def speak(self, spoken: Spoken, endpoint_ms: int) -> float:
        """The delay of the final text."""
        pcm = in_a_room(spoken.pcm, _PRE_ROLL_MS, endpoint_ms)
        running = asyncio.create_task(self._transcription.run())
        self.began_s = time.monotonic()
        try:
            for number, start in enumerate(range(0, len(pcm), _FRAME), 1):
                await asyncio.sleep(max(0.0, self.began_s + number * _FRAME_S - time.monotonic()))
                if number == _NOTICED_FRAMES:
                    self._transcription.begin(1, pcm[: start + _FRAME])
                elif number > _NOTICED_FRAMES:
                    self._transcription.push(pcm[start : start + _FRAME])
            finished_s = time.monotonic()
            self._transcription.finish(1)
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                return await self.final - finished_s
        finally:
            running.cancel()

    def _on_interim(self, interim: InterimText) -> None:
        self.interims.append((time.monotonic(), interim.text))

    def _on_final(self, final: FinalText) -> None:
        self.final.set_result(time.monotonic())

    def _on_failure(self, error: EngineError) -> None:
        if not self.final.done():
            self.final.set_exception(error)


async def measure(report: BenchReport) -> None:
    async with piper() as joe:
        usual, quick = _chosen(_UTTERANCES), _chosen(_QUICK_UTTERANCES)
        speech = {text: await say(joe.engine, text) for text in {*usual, *quick}}
    async with recogniser() as ears, watching() as watch:
        used = cpu_s(ears.pids)
        spoken = [speech[text] for text in usual]
        final = await _final_texts(report, watch, ears.engine, spoken, _ENDPOINT_MS)
        share = (cpu_s(ears.pids) - used) / sum(one.duration_s for one in spoken)
        await _final_texts(report, watch, ears.engine, [speech[text] for text in quick], _QUICK_ENDPOINT_MS)
    report.add(what="recogniser, interim texts included: CPU seconds per second of speech", n=len(usual), value=share)
    report.bar(f"final text after an endpoint of {_ENDPOINT_MS} ms, p95 ms", final, _FINAL_P95_MS, "lower")


def _chosen(count: int) -> Sequence[str]:
    """The long ones, and some of the others, evenly spread."""
    others = count - len(LONG)
    return (*LONG, *(SENTENCES[number * len(SENTENCES) // others] for number in range(others)))


async def _final_texts(
    report: BenchReport, watch: StealWatch, ears: SpeechToText, spoken: Sequence[Spoken], endpoint_ms: int
) -> float:
    finals, words, between = Delays(watch), Delays(watch), Delays(watch)
    for one in spoken:
        if one.duration_s > _LONGEST_S:
            raise ValueError(f"an utterance of {one.duration_s:.1f} s is too long")
        call = _Call(ears)
        finals.add(time.monotonic(), await call.speak(one, endpoint_ms))
        for earlier, later in itertools.pairwise(at for at, _ in call.interims):
            between.add(later, later - earlier)
        ends_s = [call.began_s + _PRE_ROLL_MS / 1000 + end for end in one.word_ends_s]
        for delay in word_delays(ends_s, call.interims):
            words.add(time.monotonic(), delay)
    finals.row(report, f"endpoint after {endpoint_ms} ms -> final text, utterances up to {_LONGEST_S:g} s")
    words.row(report, f"end of a word -> it is in an interim text (endpoint {endpoint_ms} ms)")
    between.row(report, f"between interim texts (endpoint {endpoint_ms} ms)")
    return finals.percentile(95)


def word_delays(word_ends_s: Sequence[float], interims: Sequence[tuple[float, str]]) -> list[float]:
    """From the end of each word to the first text that is as long. What no interim text has is left out."""
    delays: list[float] = []
    for number, end_s in enumerate(word_ends_s, 1):
        shown = (at for at, text in interims if len(text.split()) >= number)
        if (first := next(shown, None)) is not None:
            delays.append(first - end_s)
    return delays
