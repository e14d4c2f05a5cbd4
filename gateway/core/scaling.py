"""How many workers are wanted, by the reports of those that run. An autoscaler reads it from `/scaling`."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.worker_report import WorkerReport


class Demand(NamedTuple):
    """Of the workers of one kind."""

    sessions: int
    """All that run, also those on workers that drain: they have to find room on others."""
    capacity: int
    """Of the workers that take sessions."""
    workers: int
    """Those that take sessions."""
    wanted_workers: float


def demand(reports: Sequence[WorkerReport], warm_sessions: int) -> Demand:
    """`warm_sessions` is the room that should be free for newcomers, until another worker has started.

    Workers that start or drain take no sessions. If no other ones run, theirs is the capacity of one; without any, a
    single worker is wanted.
    """
    serving = [report for report in reports if report.state == "serving"]
    sessions = sum(report.sessions for report in reports)
    capacity = sum(report.capacity for report in serving)
    of_one = _mean([report.capacity for report in serving]) or _mean([report.capacity for report in reports])
    wanted = (sessions + warm_sessions) / of_one if of_one else 1.0
    return Demand(sessions, capacity, len(serving), round(wanted, 3))


def _mean(capacities: Sequence[int]) -> float:
    return sum(capacities) / len(capacities) if capacities else 0.0
