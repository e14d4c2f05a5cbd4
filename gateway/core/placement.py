"""The order in which media workers are offered a session. `placement_store` decides which one has room."""

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from shared.worker_report import LEASE_MS, WorkerReport


class Candidate(NamedTuple):
    """A worker, and the reason for its rank."""

    worker_id: str
    load: float
    reason: str


class RecentPlacements:
    """What this gateway placed within the last lease: a worker's last report may not count it yet."""

    def __init__(self) -> None:
        self._placed_at_ms: dict[str, list[int]] = {}

    def add(self, worker_id: str, now_ms: int) -> None:
        for known in list(self._placed_at_ms):
            recent = [at_ms for at_ms in self._placed_at_ms[known] if now_ms - at_ms <= LEASE_MS]
            if recent:
                self._placed_at_ms[known] = recent
            else:
                del self._placed_at_ms[known]
        self._placed_at_ms.setdefault(worker_id, []).append(now_ms)

    def since(self, report: WorkerReport) -> int:
        return sum(at_ms > report.reported_at_ms for at_ms in self._placed_at_ms.get(report.worker_id, ()))


def rank(
    reports: Sequence[WorkerReport],
    recent: RecentPlacements,
    session: str,
    zone: str,
    avoid: Collection[str] = (),
    silent: Collection[str] = (),
) -> list[Candidate]:
    """All workers but those to `avoid`, best first: the `silent` last, our zone first, then the lowest load.

    Ties are ordered by a hash of worker and session, so that gateways that see the same reports do not all choose
    the same worker (Thaler & Ravishankar 1998, highest random weight).
    """
    ranked: list[tuple[bool, bool, float, bytes, Candidate]] = []
    for report in reports:
        if report.worker_id in avoid:
            continue
        sessions = report.sessions + recent.since(report)
        load = sessions / max(1, report.capacity)
        away = bool(zone) and report.zone != zone
        doubtful = report.worker_id in silent
        notes = f"{'silent, ' if doubtful else ''}{'other zone, ' if away else ''}"
        reason = f"{notes}{sessions} of {report.capacity} sessions"
        tie_break = hashlib.blake2b(f"{session} {report.worker_id}".encode(), digest_size=8).digest()
        ranked.append((doubtful, away, load, tie_break, Candidate(report.worker_id, load, reason)))
    return [candidate for *_, candidate in sorted(ranked)]
