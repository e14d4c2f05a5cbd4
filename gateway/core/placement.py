"""Which media worker a session should go to. The reservation (see `placement_store`) has the last word."""

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from shared.worker_report import LEASE_MS, WorkerReport

CLOCK_TOLERANCE_MS = 1_000
"""How far two machines' clocks may disagree."""


class Candidate(NamedTuple):
    """A worker that could take the session, and why it stands where it stands."""

    worker_id: str
    load: float
    reason: str


class Refusal(NamedTuple):
    reason: str


class RecentPlacements:
    """What this gateway placed in the last lease: a worker's report says nothing of it until its next one."""

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
    now_ms: int,
    avoid: Collection[str] = (),
) -> list[Candidate] | Refusal:
    """Workers that may be asked, best first: those of our zone, then by load.

    Equals are ordered by a hash of worker and session, so that gateways that see the same reports do not all
    choose the same worker (Thaler & Ravishankar 1998, highest random weight).
    """
    excluded: dict[str, int] = {}
    candidates: list[tuple[bool, float, bytes, Candidate]] = []
    for report in reports:
        sessions = report.sessions + recent.since(report)
        obstacle = _obstacle(report, sessions, now_ms, avoid)
        if obstacle:
            excluded[obstacle] = excluded.get(obstacle, 0) + 1
            continue
        load = sessions / report.capacity
        away = bool(zone) and report.zone != zone
        reason = f"{'other zone, ' if away else ''}{sessions} of {report.capacity} sessions"
        tie_break = hashlib.blake2b(f"{session} {report.worker_id}".encode(), digest_size=8).digest()
        candidates.append((away, load, tie_break, Candidate(report.worker_id, load, reason)))
    if not candidates:
        return Refusal(", ".join(f"{count} {obstacle}" for obstacle, count in sorted(excluded.items())) or "none there")
    return [candidate for *_, candidate in sorted(candidates)]


def _obstacle(report: WorkerReport, sessions: int, now_ms: int, avoid: Collection[str]) -> str | None:
    if report.worker_id in avoid:
        return "already refused"
    if now_ms - report.reported_at_ms > LEASE_MS + CLOCK_TOLERANCE_MS:
        return "silent"
    if report.state != "serving":
        return report.state
    if sessions >= report.capacity:
        return "full"
    return None
