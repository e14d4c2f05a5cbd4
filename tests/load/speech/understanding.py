"""Whether the shipped front desk understands its evaluation set, as text and spoken by the voice."""

import asyncio
from collections.abc import Sequence

from tests.agents.requests import Request, is_understood, requests
from tests.load.bench_report import BenchReport
from tests.load.speech.engines import piper, recogniser, say, understood
from tests.load.speech.misheard import Misheard

_SET = "front-desk.yaml"
_SPOKEN = 80
_AT_ONCE = 3
_OUT_OF_SCOPE = "none"
_TEXT_PERCENT, _TEXT_REJECTED_PERCENT, _SPOKEN_PERCENT = 95.0, 90.0, 85.0


async def measure(report: BenchReport, misheard: Misheard, whole: bool) -> None:
    """`whole`: all requests are spoken, not some."""
    everything = requests(_SET)
    texts = [request.say for request in everything]
    of_text = _judge(report, misheard, everything, texts, "text")
    spoken = [request for request in everything if not request.is_for_the_eye]
    chosen = spoken if whole else [spoken[at * len(spoken) // _SPOKEN] for at in range(_SPOKEN)]
    of_speech = _judge(report, misheard, chosen, await _heard(chosen), "voice")
    report.bar("requests understood by text, %", of_text[0], _TEXT_PERCENT, "higher")
    report.bar("requests out of scope rejected by text, %", of_text[1], _TEXT_REJECTED_PERCENT, "higher")
    report.bar("requests understood by voice, %", of_speech[0], _SPOKEN_PERCENT, "higher")


async def _heard(chosen: Sequence[Request]) -> list[str]:
    turn = asyncio.Semaphore(_AT_ONCE)
    async with recogniser() as ears, piper() as joe:

        async def one(request: Request) -> str:
            async with turn:
                return await understood(ears.engine, await say(joe.engine, request.say))

        return await asyncio.gather(*map(one, chosen))


def _judge(
    report: BenchReport, misheard: Misheard, chosen: Sequence[Request], texts: Sequence[str], by: str
) -> tuple[float, float]:
    """Percent of those in scope that are understood, and of the others that are rejected."""
    right: dict[bool, list[bool]] = {True: [], False: []}
    for request, text in zip(chosen, texts, strict=True):
        good = is_understood(request, text)
        right[request.intent != _OUT_OF_SCOPE].append(good)
        if not good:
            wanted = f"{request.context}: {request.intent} {request.slots or ''}".strip()
            also = "" if by == "text" or is_understood(request) else ", neither by text"
            misheard.add(f"not understood by {by}", request.say, text, wanted + also)
    understood_share, rejected = (100 * sum(right[scope]) / max(1, len(right[scope])) for scope in (True, False))
    report.add(what=f"requests understood by {by}", n=len(right[True]), value=understood_share, unit="%")
    report.add(what=f"requests out of scope rejected by {by}", n=len(right[False]), value=rejected, unit="%")
    return understood_share, rejected
