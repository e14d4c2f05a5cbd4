"""How many workers are wanted, by the reports of those that run. An autoscaler reads it from `/scaling`."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.worker_report import WorkerReport

SPARE_SHARE = 0.3
"""Of the sessions: room for so many more is wanted at least. Kubernetes' autoscaler (HPA) changes nothing while what is
wanted differs from what there is by less than a tenth. With less room it would not add a worker to full ones.
"""


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
    """`warm_sessions` is the room that should be free for newcomers, until another worker has started, if that is more
    than `SPARE_SHARE`.

    Workers that start or drain take no sessions. If no other ones run, theirs is the capacity of one; without any, a
    single worker is wanted.
    """
    serving = [report for report in reports if report.state == "serving"]
    sessions = sum(report.sessions for report in reports)
    capacity = sum(report.capacity for report in serving)
    of_one = _mean([report.capacity for report in serving]) or _mean([report.capacity for report in reports])
    warm = max(float(warm_sessions), SPARE_SHARE * sessions)
    wanted = (sessions + warm) / of_one if of_one else 1.0
    return Demand(sessions, capacity, len(serving), round(wanted, 3))


def _mean(capacities: Sequence[int]) -> float:
    return sum(capacities) / len(capacities) if capacities else 0.0
