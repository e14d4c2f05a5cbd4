"""How much of what each voice says the recogniser gets right."""

import asyncio

from tests.load.bench_report import BenchReport
from tests.load.speech.engines import Helped, espeak, piper, recogniser, say, understood
from tests.load.speech.misheard import Misheard
from tests.load.speech.sentences import SENTENCES
from tests.load.speech.word_errors import compared, word_errors

_PIPER_PERCENT = 8.0
_AT_ONCE = 3
"""The voice and the recogniser work side by side, on a core each."""


async def measure(report: BenchReport, misheard: Misheard) -> None:
    async with recogniser() as ears:
        async with piper() as joe:
            percent = await _of_voice(report, misheard, ears, joe, "Piper joe")
        async with espeak("en-us", 165) as american:
            await _of_voice(report, misheard, ears, american, "eSpeak en-us")
        async with espeak("en-gb-x-rp", 150) as british:
            await _of_voice(report, misheard, ears, british, "eSpeak en-gb-x-rp, 150 a minute")
    report.bar("word error rate of Piper joe, %", percent, _PIPER_PERCENT, "lower")


async def _of_voice(report: BenchReport, misheard: Misheard, ears: Helped, voice: Helped, name: str) -> float:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def heard(sentence: str) -> str:
        async with turn:
            return await understood(ears.engine, await say(voice.engine, sentence))

    texts = await asyncio.gather(*map(heard, SENTENCES))
    wrong = words = 0
    for sentence, text in zip(SENTENCES, texts, strict=True):
        said = compared(sentence)
        errors = word_errors(said, compared(text))
        wrong, words = wrong + errors, words + len(said)
        if errors:
            misheard.add(name, sentence, text)
    percent = wrong / words * 100
    report.add(what=f"word errors of {name}, of {words} words", n=len(SENTENCES), value=percent, unit="%")
    return percent
