"""What callers notice when processes die, hang, drain or lose their broker, while 20 of them talk.

Everything is measured in the received sound: the agent speaks rows of tone words, of which each occurs once.
"""

import argparse
import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from callers.voice import RATE as CALLER_RATE
from pipeline_worker.engines.resampling import resampled
from shared.io.broker import connect
from tests.integration.deployment import Deployment
from tests.integration.kept_sessions import session_keys
from tests.integration.restartable_broker import RestartableBroker
from tests.integration.speech import spoken
from tests.load.bench_report import BenchReport
from tests.load.counting_calls import CountingCalls
from tests.load.fault_effects import (
    DRAINED,
    GATEWAY,
    LONG_OUTAGE,
    MEDIA,
    PIPELINE,
    SHORT_OUTAGE,
    Run,
    add_row,
    add_undisturbed,
    add_unmeasured,
)
from tests.load.faults import AGENT, ONE_OF_EACH, Stage, deployed_with_spares
from tests.load.lasting_caller import RATE
from tests.load.lost_sessions import losses, story
from tests.load.tone_words import text_of

_CALLERS = 20
_TEXT = text_of(40)
"""9 s of sound."""
_ALL_TALK_S = 60.0
_WARM_UP_S = 4.0
_SETTLE_S = 4.0
_LAST_TURN_S = 12.0
_KEYS_TIMEOUT_S = 30.0

PIPELINE_HUNG, CUT = "pipeline worker hangs for 8 s", "WebSockets cut"
EMPTY, HUNG = "broker restarted empty", "broker hangs for 6 s"


async def _workers_killed(stage: Stage, faults: int) -> None:
    """Pipeline workers, and soon after them gateways of other callers."""
    for _ in range(faults):
        await stage.kill(PIPELINE, "pipeline")
        concerned = stage.faults[-1].callers
        await asyncio.sleep(1.5)
        await stage.kill(GATEWAY, "gateway")
        stage.faults[-1].callers = set(stage.faults[-1].callers) - set(concerned)
        await asyncio.sleep(2.5)
        await stage.ready()


async def _media_killed(stage: Stage, faults: int) -> None:
    for _ in range(faults):
        await stage.kill(MEDIA, "media")
        await asyncio.sleep(4.0)
        await stage.ready()


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


async def _short_outages(stage: Stage) -> None:
    for _ in range(2):
        await stage.break_broker(SHORT_OUTAGE, 3.0)
        await asyncio.sleep(3.0)


async def _long_outage(stage: Stage) -> None:
    """So long that callers know of it."""
    await stage.break_broker(LONG_OUTAGE, 30.0, callers_wait=True)


async def _broker_emptied(stage: Stage) -> None:
    await stage.break_broker(EMPTY, 1.0, empty=True)
    await asyncio.sleep(3.0)


async def _broker_hung(stage: Stage) -> None:
    await stage.break_broker(HUNG, 6.0, hang=True)
    await asyncio.sleep(3.0)


_ON_ONE_DEPLOYMENT: dict[str, Callable[[Stage, int], Awaitable[None]]] = {
    "workers": _workers_killed,
    "media": _media_killed,
    "drain": _drained,
    "hang": _pipeline_hung,
    "cut": _cut,
}
_SIDE_BY_SIDE: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "broker-3s": _short_outages,
    "broker-empty": _broker_emptied,
    "broker-hang": _broker_hung,
    "broker-30s": _long_outage,
}
"""A broker concerns every caller of its deployment, so there are N deployments, whose brokers fail together."""
_ALL = "all"
ROWS = (*_ON_ONE_DEPLOYMENT, *_SIDE_BY_SIDE)
_DEFAULT_ROWS = ("workers", "media", "drain", "broker-3s", "broker-30s")
_BOUNDED = (PIPELINE, GATEWAY, MEDIA, SHORT_OUTAGE, DRAINED, LONG_OUTAGE)
"""The faults of the default rows."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rows", nargs="+", choices=(*ROWS, _ALL), default=_DEFAULT_ROWS, metavar="ROW", help=", ".join((*ROWS, _ALL))
    )
    parser.add_argument("--faults", type=int, default=10, metavar="N", help="of each row")
    parser.epilog = (
        f"By default: {', '.join(_DEFAULT_ROWS)}, in under five minutes. {_CALLERS} callers talk on one deployment. "
        "For rows of the broker, N deployments with brokers of their own share the callers, and all brokers fail "
        "together. Callers know of an outage of 30 s: they ask nothing meanwhile, and wait for the rest of a reply. "
        "Bars of rows that were left out are not measured, and do not hold."
    )


def run(report: BenchReport, arguments: argparse.Namespace) -> None:
    rows = ROWS if _ALL in arguments.rows else arguments.rows
    asyncio.run(_run(report, rows, arguments.faults))


async def _run(report: BenchReport, rows: Sequence[str], faults: int) -> None:
    began_s = time.monotonic()
    (question,) = await spoken("What do you have today?")
    speech = resampled(question, CALLER_RATE, RATE)
    left: list[str] = []
    codes: list[int] = []

    def begin(row: str) -> None:
        print(f"{time.monotonic() - began_s:5.1f} s: {row}", flush=True)

    if on_one := [row for row in rows if row in _ON_ONE_DEPLOYMENT]:
        async with deployed_with_spares(_TEXT) as (deployment, broker):
            calls = CountingCalls(_CALLERS * [deployment.signaling_urls], AGENT, _TEXT, speech)
            stage = Stage(deployment, broker, dict(enumerate(calls.all)))

            async def one_after_another() -> None:
                for row in on_one:
                    begin(row)
                    await _ON_ONE_DEPLOYMENT[row](stage, faults)

            add_undisturbed(report, await _measure(report, [stage], calls, one_after_another))
            left += await _keys_left(broker.url)
            codes = stage.exit_codes
    if side_by_side := [row for row in rows if row in _SIDE_BY_SIDE]:
        async with _deployments(faults) as deployments:
            at = [number % faults for number in range(max(_CALLERS, faults))]
            calls = CountingCalls([deployments[each][0].signaling_urls for each in at], AGENT, _TEXT, speech)
            stages = [
                Stage(deployment, broker, {n: call for n, call in enumerate(calls.all) if at[n] == each})
                for each, (deployment, broker) in enumerate(deployments)
            ]

            async def together() -> None:
                for row in side_by_side:
                    begin(row)
                    await asyncio.gather(*(_SIDE_BY_SIDE[row](stage) for stage in stages))
                    await asyncio.sleep(_SETTLE_S)  # else a slow recovery would count as an effect of the next fault

            await _measure(report, stages, calls, together)
            for keys in await asyncio.gather(*(_keys_left(stage.broker.url) for stage in stages)):
                left += keys
    measured = {figure["fault"] for figure in report.figures}
    for row in _BOUNDED:
        if row not in measured:
            add_unmeasured(report, row)
    report.bar("keys of sessions left afterwards", len(left), 0, "lower")
    if left:
        print("left:", *left)
    if any(codes):
        report.bar("drained processes that did not end by themselves", sum(map(bool, codes)), 0, "lower")
    begin("the end")


@contextlib.asynccontextmanager
async def _deployments(count: int) -> AsyncIterator[list[tuple[Deployment, RestartableBroker]]]:
    """One process of each kind in each, and a broker."""
    async with contextlib.AsyncExitStack() as opened:
        async with asyncio.TaskGroup() as tasks:
            opening = [
                tasks.create_task(opened.enter_async_context(deployed_with_spares(_TEXT, ONE_OF_EACH)))
                for _ in range(count)
            ]
        yield [task.result() for task in opening]


async def _measure(
    report: BenchReport, stages: Sequence[Stage], calls: CountingCalls, break_things: Callable[[], Awaitable[None]]
) -> Run:
    """Break things while all callers talk, and add the rows."""
    async with calls.running():
        async with asyncio.timeout(_ALL_TALK_S):
            while not all(call.turns for call in calls.all):  # noqa: ASYNC110 (other processes have no event)
                await asyncio.sleep(0.1)
        began_s = time.monotonic()
        await asyncio.sleep(_WARM_UP_S)
        await break_things()
        await asyncio.sleep(_LAST_TURN_S)
        ended_s = time.monotonic()
        faults = sorted((fault for stage in stages for fault in stage.faults), key=lambda fault: fault.at_s)
        measured = Run(faults, calls.all, began_s, ended_s)
        lost = losses(measured)
    for loss in lost:
        print(*story(loss, faults, (stage.deployment for stage in stages)), sep="\n")
    for row in dict.fromkeys(fault.row for fault in faults):
        add_row(report, row, measured, sum(loss.row == row for loss in lost))
    return measured


async def _keys_left(broker_url: str) -> list[str]:
    client = connect(broker_url)
    deadline_s = time.monotonic() + _KEYS_TIMEOUT_S
    try:
        while (left := await session_keys(client)) and time.monotonic() < deadline_s:  # noqa: ASYNC110 (keys expire)
            await asyncio.sleep(0.5)
        return left
    finally:
        await client.aclose()
