"""What callers notice when processes die, hang, drain or lose their broker, while 20 of them talk.

Everything is measured in the received sound: the agent speaks rows of tone words, of which each occurs once.
"""

import argparse
import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from callers.voice import RATE as CALLER_RATE
from pipeline_worker.engines.resampling import resampled
from shared.io.broker import connect
from tests.integration.kept_sessions import session_keys
from tests.integration.speech import spoken
from tests.load.bench_report import BenchReport
from tests.load.counting_calls import CountingCall, CountingCalls, Turn
from tests.load.faults import AGENT, Fault, Stage, deployed_with_spares
from tests.load.lasting_caller import RATE
from tests.load.tone_words import text_of

_CALLERS = 20
_TEXT = text_of(40)
"""9 s of sound."""
_ALL_TALK_S = 30.0
_WARM_UP_S = 4.0
_LAST_TURN_S = 12.0
_HORIZON_S = 12.0
"""What happens later is not counted as an effect of a fault."""
_JUST_BEFORE_S = 0.5
"""A word may have been due, but not heard yet."""
_QUESTION_S = 2.0
_KEYS_TIMEOUT_S = 30.0
_NOTICEABLE_S = 0.06

PIPELINE, MEDIA, GATEWAY = "pipeline worker killed", "media worker killed", "gateway killed"
SHORT_OUTAGE, LONG_OUTAGE, DRAINED = "broker away for 3 s", "broker away for 30 s", "one process of each kind drained"
PIPELINE_HUNG, CUT = "pipeline worker hangs for 8 s", "WebSockets cut"
EMPTY, HUNG = "broker restarted empty", "broker hangs for 6 s"


async def _workers_killed(stage: Stage, faults: int) -> None:
    """Pipeline workers, and gateways of other callers two seconds later."""
    for _ in range(faults):
        await stage.kill(PIPELINE, "pipeline")
        concerned = stage.faults[-1].callers
        await asyncio.sleep(2.0)
        await stage.kill(GATEWAY, "gateway")
        stage.faults[-1].callers = set(stage.faults[-1].callers) - set(concerned)
        await asyncio.sleep(2.5)
        await stage.ready()


async def _media_killed(stage: Stage, faults: int) -> None:
    for _ in range(faults):
        await stage.kill(MEDIA, "media")
        await asyncio.sleep(4.5)
        await stage.ready()


async def _short_outages(stage: Stage, faults: int) -> None:
    for _ in range(faults):
        await stage.break_broker(SHORT_OUTAGE, 3.0)
        await asyncio.sleep(2.5)


async def _long_outage(stage: Stage, faults: int) -> None:
    """It concerns every caller, so one is enough."""
    await stage.break_broker(LONG_OUTAGE, 30.0)
    await asyncio.sleep(4.0)


async def _drained(stage: Stage, faults: int) -> None:
    for _ in range(math.ceil(faults / 3)):
        await stage.drain(DRAINED, "pipeline", "media", "gateway")
        await asyncio.sleep(1.0)
        await stage.ready()


async def _pipeline_hung(stage: Stage, faults: int) -> None:
    for _ in range(faults):
        await stage.hang(PIPELINE_HUNG, "pipeline", 8.0)
        await asyncio.sleep(2.0)


async def _cut(stage: Stage, faults: int) -> None:
    await stage.cut(CUT, faults)
    await asyncio.sleep(4.0)


async def _broker_emptied(stage: Stage, faults: int) -> None:
    for _ in range(faults):
        await stage.break_broker(EMPTY, 1.0, empty=True)
        await asyncio.sleep(3.0)


async def _broker_hung(stage: Stage, faults: int) -> None:
    for _ in range(faults):
        await stage.break_broker(HUNG, 6.0, hang=True)
        await asyncio.sleep(2.5)


ROWS: dict[str, Callable[[Stage, int], Awaitable[None]]] = {
    "workers": _workers_killed,
    "media": _media_killed,
    "broker-3s": _short_outages,
    "broker-30s": _long_outage,
    "drain": _drained,
    "hang": _pipeline_hung,
    "cut": _cut,
    "broker-empty": _broker_emptied,
    "broker-hang": _broker_hung,
}
_DEFAULT_ROWS = ("workers", "media", "broker-3s", "broker-30s", "drain")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=_DEFAULT_ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--faults", type=int, default=10, metavar="N", help="of each row")


def run(report: BenchReport, arguments: argparse.Namespace) -> None:
    asyncio.run(_run(report, arguments.rows, arguments.faults))


async def _run(report: BenchReport, rows: Sequence[str], faults: int) -> None:
    (question,) = await spoken("What do you have today?")
    async with deployed_with_spares(_TEXT) as (deployment, broker):
        urls = deployment.signaling_urls
        calls = CountingCalls(_CALLERS, urls, AGENT, _TEXT, resampled(question, CALLER_RATE, RATE))
        stage = Stage(deployment, broker, calls.all)
        async with calls.running():
            async with asyncio.timeout(_ALL_TALK_S):
                while not all(call.turns for call in calls.all):  # noqa: ASYNC110 (other processes have no event)
                    await asyncio.sleep(0.1)
            began_s = time.monotonic()
            await asyncio.sleep(_WARM_UP_S)
            for row in rows:
                print(f"{time.monotonic() - began_s:5.1f} s: {row}", flush=True)
                await ROWS[row](stage, faults)
            await asyncio.sleep(_LAST_TURN_S)
            ended_s = time.monotonic()
        left = await _keys_left(broker.url)
    _report(report, stage, calls.all, (began_s, ended_s))
    report.bar("keys of sessions left afterwards", len(left), 0, "lower")
    if left:
        print("left:", *left)
    if any(stage.exit_codes):
        report.bar("drained processes that did not end by themselves", sum(map(bool, stage.exit_codes)), 0, "lower")


async def _keys_left(broker_url: str) -> list[str]:
    client = connect(broker_url)
    deadline_s = time.monotonic() + _KEYS_TIMEOUT_S
    try:
        while (left := await session_keys(client)) and time.monotonic() < deadline_s:  # noqa: ASYNC110 (keys expire)
            await asyncio.sleep(0.5)
        return left
    finally:
        await client.aclose()


class _Effect(NamedTuple):
    """Of one fault on one caller: the longest silence in which the agent should have been heard, in seconds."""

    silence_s: float
    until_heard_s: float
    """From the fault to the end of that silence."""
    after_return_s: float
    """From the return of what failed to the end of that silence."""


def _effect(fault: Fault, turns: Iterable[Turn], next_s: float) -> _Effect:
    """`next_s` is when the next fault concerns the same caller. A silence belongs to the fault at which it begins."""
    until_s = min(next_s, fault.at_s + _away_s(fault) + _HORIZON_S) - _JUST_BEFORE_S
    silences = (gap for turn in turns if turn.words for gap in turn.silences())
    gaps = [(s, e) for s, e in silences if fault.at_s - _JUST_BEFORE_S <= s < until_s and e > fault.at_s]
    begin_s, end_s = max(
        ((max(s, fault.at_s), e) for s, e in gaps), key=lambda gap: gap[1] - gap[0], default=(0.0, 0.0)
    )
    if end_s - begin_s < _NOTICEABLE_S:
        return _Effect(max(0.0, end_s - begin_s), 0.0, 0.0)
    back_s = fault.at_s if fault.back_s is None else fault.back_s
    return _Effect(end_s - begin_s, end_s - fault.at_s, max(0.0, end_s - back_s))


def _next_s(fault: Fault, number: int, faults: Iterable[Fault]) -> float:
    return min(
        (other.at_s for other in faults if number in other.callers and other.at_s > fault.at_s), default=math.inf
    )


def _away_s(fault: Fault) -> float:
    return 0.0 if fault.back_s is None else fault.back_s - fault.at_s


def _report(report: BenchReport, stage: Stage, calls: list[CountingCall], span: tuple[float, float]) -> None:
    lost = _sessions_lost(stage.faults, calls, span[1])
    for row in dict.fromkeys(fault.row for fault in stage.faults):
        faults = [fault for fault in stage.faults if fault.row == row]
        effects = [
            _effect(fault, calls[number].turns, _next_s(fault, number, stage.faults))
            for fault in faults
            for number in fault.callers
        ]
        concerned = _turns_concerned(faults, calls)
        if row == GATEWAY:  # pipeline workers were killed at the same time
            other = [fault for fault in stage.faults if fault.row == PIPELINE]
            not_ours = {id(turn) for _, turn in _turns_concerned(other, calls)}
            concerned = [(call, turn) for call, turn in concerned if id(turn) not in not_ours]
        accounts = [call.words_of(turn) for call, turn in concerned if turn.words and turn.ended_s < span[1]]
        silences, heard = [e.silence_s for e in effects], [e.until_heard_s for e in effects]
        returned = [e.after_return_s for e in effects]
        report.add(
            fault=row,
            n=len(faults),
            callers=len(effects),
            silence_p50_s=_percentile(silences, 50),
            silence_p95_s=_percentile(silences, 95),
            longest_s=max(silences, default=math.inf),
            heard_again_p50_s=_percentile(heard, 50),
            heard_again_p95_s=_percentile(heard, 95),
            after_return_p95_s=_percentile(returned, 95) if faults[0].back_s is not None else None,
            words=len(accounts) * len(_TEXT.split()),
            lost=sum(words.lost for words in accounts),
            doubled=sum(words.doubled for words in accounts),
            damaged=sum(words.strange for words in accounts),
            broken_off=sum(not turn.is_whole and bool(turn.words) and turn.ended_s < span[1] for _, turn in concerned),
            unanswered=sum(not turn.words and turn.ended_s < span[1] for _, turn in concerned),
            sessions_lost=lost.get(row, 0),
        )
        _bar_of_row(report, row, silences, heard, returned)
        report.bar(f"{row}: sessions lost", lost.get(row, 0), 0, "lower")
    quiet = _undisturbed(stage.faults, calls, span)
    worst_s = max((e - s for turn in quiet for s, e in turn.silences()), default=0.0)
    report.add(fault="none", n=0, callers=len(quiet), longest_s=worst_s)


def _bar_of_row(
    report: BenchReport, row: str, silences: list[float], heard: list[float], returned: list[float]
) -> None:
    match row:
        case "pipeline worker killed":
            report.bar(f"{row}: heard again, p95 s", _percentile(heard, 95), 5.0, "lower")
        case "media worker killed":
            report.bar(f"{row}: heard again, p95 s", _percentile(heard, 95), 4.0, "lower")
        case "gateway killed":
            # The longest one is that of processes being started on the same cores, as in turns without a fault.
            report.bar(f"{row}: silence, p95 s", _percentile(silences, 95), _NOTICEABLE_S, "lower")
        case "broker away for 3 s":
            report.bar(f"{row}: heard again after its return, p95 s", _percentile(returned, 95), 1.0, "lower")


def _turns_concerned(faults: list[Fault], calls: list[CountingCall]) -> list[tuple[CountingCall, Turn]]:
    found: dict[int, tuple[CountingCall, Turn]] = {}
    for fault in faults:
        until_s = fault.at_s + _away_s(fault) + _QUESTION_S
        for number in fault.callers:
            for turn in calls[number].turns:
                if turn.asked_s - _QUESTION_S < until_s and turn.ended_s > fault.at_s:
                    found[id(turn)] = calls[number], turn
    return list(found.values())


def _undisturbed(faults: list[Fault], calls: list[CountingCall], span: tuple[float, float]) -> list[Turn]:
    """Turns that no fault concerned."""
    disturbed = {id(turn) for _, turn in _turns_concerned(faults, calls)}
    turns = [turn for call in calls for turn in call.turns]
    return [turn for turn in turns if id(turn) not in disturbed and span[0] < turn.ended_s < span[1]]


def _sessions_lost(faults: list[Fault], calls: list[CountingCall], ended_s: float) -> dict[str, int]:
    """By the row of the last fault that concerned the caller. Who hears nothing at the end has lost theirs too."""
    lost: dict[str, int] = {}
    for number, call in enumerate(calls):
        ends = [at_s for at_s, _ in call.lost if at_s < ended_s]
        if not any(turn.words and turn.words[-1].at_s > ended_s - 2 * _LAST_TURN_S for turn in call.turns):
            ends.append(ended_s)
        for at_s in ends:
            before = [fault.row for fault in faults if number in fault.callers and fault.at_s < at_s]
            row = before[-1] if before else "none"
            lost[row] = lost.get(row, 0) + 1
            print(
                f"caller {number} lost their session after: {row}:", *(why for when, why in call.lost if when == at_s)
            )
    return lost


def _percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else math.inf
