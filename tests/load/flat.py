"""Whether a session costs the same however many there are, up to the knee, and with one media worker or two.

Callers of the echo agent join in steps until the core that serves them is full or somebody suffers: the step before is
the knee. Processes that have any traffic wake up for each slot of 5 ms, and a few sessions bear the cost of that; so
the cost per session falls as they become more. A straight line through the steps separates this fixed cost from what
one more session costs. The media worker's Opus effort falls as its core fills, which would bend the line, so here it is
the lowest all the time.
"""

import asyncio

import numpy as np

from tests.load.bench_report import BenchReport
from tests.load.load_speech import browser_packets
from tests.load.whole_stack import Level, WholeStack, whole_stack

_LEVELS = (10, 20, 40, 60, 80, 100, 120, 140, 160)
_FULL_CORE = 0.85
"""With more, a level that happens to fit measures the scheduler."""
_OF_EACH = 40
"""Sessions of each media worker where one is compared with two."""
_WINDOW_S = 8.0
_WITHIN = 0.15


def run(report: BenchReport) -> None:
    asyncio.run(_run(report))


async def _run(report: BenchReport) -> None:
    packets = await asyncio.to_thread(browser_packets, False)
    async with whole_stack("echo", packets, ANTIPHON_MEDIA_COMPLEXITY="0") as stack:
        idle_ms = sum((await stack.idle_ms(_WINDOW_S)).values())
        levels = await _to_the_knee(report, stack)
    async with whole_stack("echo", packets, media_workers=2, ANTIPHON_MEDIA_COMPLEXITY="0") as stack:
        two = await stack.measure(2 * _OF_EACH, _WINDOW_S, echo=True)
        two.add_row(report, echo=True, media_workers=2)
    first, knee = levels[0], levels[-1]
    used_ms = [level.core_used * 1000 for level in levels]
    sessions = [level.sessions for level in levels]
    each_ms, fixed_ms = (float(value) for value in np.polyfit(sessions, used_ms, 1))
    report.add(what="processes without sessions, ms a second", value=idle_ms)
    report.add(what="line: fixed cost of the traffic, ms a second", value=fixed_ms)
    report.add(what="line: each session, ms a second", value=each_ms)
    report.add(what="sessions at the knee", value=knee.sessions)
    off = max(abs(used / (fixed_ms + each_ms * n) - 1) for n, used in zip(sessions, used_ms, strict=True))
    report.bar(f"{first.sessions} to {knee.sessions} sessions: off the straight line, share", off, _WITHIN, "lower")
    grown = knee.ms_per_session / first.ms_per_session - 1
    report.bar(
        f"{first.sessions} to {knee.sessions} sessions: growth of ms per session, share", grown, _WITHIN, "lower"
    )
    one = next(level for level in levels if level.sessions == _OF_EACH)
    apart = abs((two.cpu_ms["media"] / two.sessions) / (one.cpu_ms["media"] / one.sessions) - 1)
    what = f"two media workers with {_OF_EACH} sessions each against one"
    report.bar(f"{what}: difference of media ms per session, share", apart, _WITHIN, "lower")
    more = two.ms_per_session / one.ms_per_session - 1
    report.bar(f"{what}: growth of ms per session of the whole stack, share", more, _WITHIN, "lower")


async def _to_the_knee(report: BenchReport, stack: WholeStack) -> list[Level]:
    levels: list[Level] = []
    for sessions in _LEVELS:
        level = await stack.measure(sessions, _WINDOW_S, echo=True)
        beyond = level.core_used > _FULL_CORE or level.suffered(echo=True)
        level.add_row(report, echo=True, media_workers=1, beyond_knee="yes" if beyond else "no")
        if beyond and sessions > _OF_EACH:
            break
        levels.append(level)
    return levels
