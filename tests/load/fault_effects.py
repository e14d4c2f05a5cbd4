"""What faults did to the callers whom they concerned: one row of figures, and its bars, for each kind of fault."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tests.load.bench_report import BenchReport
from tests.load.counting_calls import CountingCall, Turn
from tests.load.faults import Fault
from tests.load.tone_words import Account

PIPELINE, MEDIA, GATEWAY = "pipeline worker killed", "media worker killed", "gateway killed"
SHORT_OUTAGE, LONG_OUTAGE, DRAINED = "broker away for 3 s", "broker away for 30 s", "one process of each kind drained"
_FAULTS = 10
_HORIZON_S = 12.0
"""What happens later is not counted as an effect of a fault."""
_JUST_BEFORE_S = 0.5
"""A word may have been due, but not heard yet."""
_QUESTION_S = 2.0
_NOTICEABLE_S = 0.06
_HEARD_AT_THE_END_S = 24.0

_HEARD_AGAIN = "heard again, p95 s"
_BOUNDS: dict[str, tuple[str, str, float]] = {
    PIPELINE: (_HEARD_AGAIN, "until_heard_s", 5.0),
    MEDIA: (_HEARD_AGAIN, "until_heard_s", 4.0),
    # The longest one is that of processes being started on the same cores, as in turns without a fault.
    GATEWAY: ("silence, p95 s", "silence_s", _NOTICEABLE_S),
    SHORT_OUTAGE: ("heard again after its return, p95 s", "after_return_s", 1.0),
}
"""What is bounded: its name, the field of `_Effect`, the bound."""


class _Effect(NamedTuple):
    """Of one fault on one caller: the longest silence in which the agent should have been heard, in seconds."""

    silence_s: float
    until_heard_s: float
    """From the fault to the end of that silence."""
    after_return_s: float
    """From the return of what failed to the end of that silence."""


class Run(NamedTuple):
    """Faults in order, the callers, when all of them talked, and when the run ended. Times are monotonic."""

    faults: Sequence[Fault]
    calls: Sequence[CountingCall]
    began_s: float
    ended_s: float


def add_row(report: BenchReport, row: str, run: Run, sessions_lost: int) -> None:
    faults = [fault for fault in run.faults if fault.row == row]
    effects = [
        _effect(fault, run.calls[number].turns, _next_s(fault, number, run.faults))
        for fault in faults
        for number in fault.callers
    ]
    concerned = turns_concerned(faults, run.calls)
    if row == GATEWAY:  # pipeline workers were killed at the same time
        not_ours = {id(turn) for _, turn in turns_concerned([f for f in run.faults if f.row == PIPELINE], run.calls)}
        concerned = [(call, turn) for call, turn in concerned if id(turn) not in not_ours]
    over = [(call, turn) for call, turn in concerned if turn.ended_s < run.ended_s]
    accounts: list[Account] = [call.words_of(turn) for call, turn in over if turn.words]
    unanswered = [turn for _, turn in over if not turn.words]
    silences, heard = [e.silence_s for e in effects], [e.until_heard_s for e in effects]
    report.add(
        fault=row,
        n=len(faults),
        callers=len(effects),
        silence_p50_s=_percentile(silences, 50),
        silence_p95_s=_percentile(silences, 95),
        longest_s=max(silences, default=None),
        heard_again_p50_s=_percentile(heard, 50),
        heard_again_p95_s=_percentile(heard, 95),
        after_return_p95_s=_percentile([e.after_return_s for e in effects if faults[0].back_s is not None], 95),
        words=sum(call.words for call, turn in over if turn.words),
        lost=sum(words.lost for words in accounts),
        doubled=sum(words.doubled for words in accounts),
        damaged=sum(words.strange for words in accounts),
        broken_off=sum(not turn.is_whole and bool(turn.words) for _, turn in over),
        unheard=sum(_was_away(turn, faults) for turn in unanswered),
        unanswered=sum(not _was_away(turn, faults) for turn in unanswered),
        sessions_lost=sessions_lost,
    )
    if row in _BOUNDS:
        name, value, bound = _BOUNDS[row]
        report.bar(f"{row}: {name}", _percentile([getattr(e, value) for e in effects], 95), bound, "lower")
    report.bar(f"{row}: sessions lost", sessions_lost, 0, "lower")
    report.bar(f"{row}: faults", len(faults), _FAULTS, "higher")


def add_unmeasured(report: BenchReport, row: str) -> None:
    if row in _BOUNDS:
        name, _, bound = _BOUNDS[row]
        report.bar(f"{row}: {name}", None, bound, "lower")
    report.bar(f"{row}: sessions lost", None, 0, "lower")
    report.bar(f"{row}: faults", None, _FAULTS, "higher")


def add_undisturbed(report: BenchReport, run: Run) -> None:
    """Turns that no fault concerned."""
    disturbed = {id(turn) for _, turn in turns_concerned(run.faults, run.calls)}
    turns = [turn for call in run.calls for turn in call.turns]
    quiet = [turn for turn in turns if id(turn) not in disturbed and run.began_s < turn.ended_s < run.ended_s]
    worst_s = max((e - s for turn in quiet for s, e in turn.silences()), default=None)
    report.add(fault="none", n=0, callers=len(quiet), longest_s=worst_s)


def turns_concerned(faults: Iterable[Fault], calls: Sequence[CountingCall]) -> list[tuple[CountingCall, Turn]]:
    found: dict[int, tuple[CountingCall, Turn]] = {}
    for fault in faults:
        until_s = fault.at_s + _away_s(fault) + _QUESTION_S
        for number in fault.callers:
            for turn in calls[number].turns:
                if turn.asked_s - _QUESTION_S < until_s and turn.ended_s > fault.at_s:
                    found[id(turn)] = calls[number], turn
    return list(found.values())


def mute_at_the_end(run: Run) -> list[int]:
    """Callers who have not heard a word for so long that their session must be lost."""
    since_s = run.ended_s - _HEARD_AT_THE_END_S
    return [
        number
        for number, call in enumerate(run.calls)
        if not any(turn.words and turn.words[-1].at_s > since_s for turn in call.turns)
    ]


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


def _was_away(turn: Turn, faults: Iterable[Fault]) -> bool:
    """Whether the question was asked while nobody could hear it."""
    return any(fault.at_s - _QUESTION_S < turn.asked_s < (fault.back_s or fault.at_s) for fault in faults)


def _percentile(values: list[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None
