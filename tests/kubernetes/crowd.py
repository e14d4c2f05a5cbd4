"""Callers who talk without end with an agent that counts, and what they heard while something was done to its pods."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

from callers.voice import RATE as CALLER_RATE
from pipeline_worker.engines.resampling import resampled
from tests.integration.speech import spoken
from tests.integration.talk import Record
from tests.load.bench_report import BenchReport
from tests.load.counting_calls import CountingCall, CountingCalls
from tests.load.fault_effects import Run, add_row
from tests.load.faults import Fault
from tests.load.lasting_caller import RATE
from tests.load.tone_words import text_of

AGENT = "counting"
TEXT = text_of(40)
"""9 s of sound."""
_CANDIDATE = re.compile(r"a=candidate:\S+ \d+ udp \d+ (\S+) (\d+) typ host", re.IGNORECASE)
_TALK_TIMEOUT_S = 90.0
_LOOK_EVERY_S = 0.2


class Crowd:
    def __init__(self, calls: CountingCalls) -> None:
        self._calls = calls
        self._began_s = time.monotonic()

    @property
    def sessions(self) -> dict[str, int]:
        """Number of each caller by the id of their session."""
        return {call.caller.session: number for number, call in enumerate(self._calls.all) if call.caller is not None}

    @property
    def media_addresses(self) -> set[tuple[str, int]]:
        """Where the callers' packets go."""
        answers = [call.caller.answer for call in self._calls.all if call.caller is not None]
        return {(host, int(port)) for answer in answers for host, port in _CANDIDATE.findall(answer)}

    async def hear(
        self, row: str, happens: Callable[[], Awaitable[object]], concerned: Collection[int] | None = None
    ) -> dict[str, Any]:
        """What callers heard while it happened, and until each has heard a whole reply after that.

        `concerned` are all by default. Raises `TimeoutError` if somebody hears no reply.
        """
        at_s = time.monotonic()
        await happens()
        back_s = time.monotonic()
        await self.whole_reply_since(back_s)
        numbers = range(len(self._calls.all)) if concerned is None else concerned
        fault = Fault(row, at_s, numbers, back_s)
        report = BenchReport(row)
        lost = [lost for call in self._calls.all for lost in call.lost if lost.at_s > at_s]
        add_row(report, row, Run([fault], self._calls.all, self._began_s, time.monotonic()), len(lost))
        for session in lost:
            print(f"{row}: session {session.session} was lost: {session.why}", *session.notes, sep="\n  ")
        (figures,) = report.figures
        return {**figures, "took_s": back_s - at_s}

    async def lose_nobody(
        self,
        row: str,
        happens: Callable[[], Awaitable[object]],
        record: Record,
        concerned: Collection[int] | None = None,
    ) -> dict[str, Any]:
        """As `hear`, for the summary too. Fails if a session was lost."""
        heard = await self.hear(row, happens, concerned)
        record_heard(record, heard)
        assert heard["sessions_lost"] == 0
        return heard

    async def whole_reply_since(self, since_s: float) -> None:
        """Until every caller has heard one whose question came after `since_s`."""
        deadline_s = time.monotonic() + _TALK_TIMEOUT_S
        while waiting := [call for call in self._calls.all if not _has_heard(call, since_s)]:
            if time.monotonic() > deadline_s:
                raise TimeoutError("\n".join(_story(call, since_s) for call in waiting))
            await asyncio.sleep(_LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def crowd(signaling_url: str, callers: int) -> AsyncIterator[Crowd]:
    """When all of them talk."""
    (question,) = await spoken("What do you have today?")
    calls = CountingCalls(callers * [[signaling_url]], AGENT, TEXT, resampled(question, CALLER_RATE, RATE))
    async with calls.running():
        talking = Crowd(calls)
        await talking.whole_reply_since(0.0)
        yield talking


def _has_heard(call: CountingCall, since_s: float) -> bool:
    return any(turn.is_whole and turn.asked_s > since_s for turn in call.turns)


def _story(call: CountingCall, since_s: float) -> str:
    """What happened to a caller who has not heard a whole reply."""
    notes = [] if call.caller is None else [f"{at_s - since_s:+.1f} s {what}" for at_s, what in call.caller.notes]
    turns = [(round(turn.asked_s - since_s, 1), len(turn.words)) for turn in call.turns if turn.ended_s > since_s]
    return (
        f"no whole reply: refused {call.refused}, lost {len(call.lost)}, asked and words heard {turns}, notes {notes}"
    )


def record_heard(record_property: Record, heard: dict[str, Any]) -> None:
    record_property(
        heard["fault"],
        f"in {heard['took_s']:.0f} s, {heard['callers']} callers: silence p50 {heard['silence_p50_s']:.2f} s, p95 "
        f"{heard['silence_p95_s']:.2f} s; words lost {heard['lost']}, doubled {heard['doubled']}, of {heard['words']}; "
        f"sessions lost {heard['sessions_lost']}",
    )
