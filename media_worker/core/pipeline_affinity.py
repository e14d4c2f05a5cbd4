"""Keeps the sessions of a media worker on few pipeline workers.

In each slot a media worker writes a batch to every pipeline worker that serves one of its sessions. If 25 pipeline
workers share the sessions of 25 media workers evenly, that is 625 batches of three frames for the broker to carry; with
4 pipeline workers for a media worker it is 100 of twenty.
"""

from collections import Counter
from typing import NamedTuple

ENOUGH = 4
"""Pipeline workers of a media worker. The loss of one interrupts a quarter of its sessions."""
_REFUSED_S = 30.0


class _Place(NamedTuple):
    pool: str
    worker: str


class PipelineAffinity:
    """Decides which pipeline worker is asked first."""

    def __init__(self) -> None:
        self._place: dict[str, _Place] = {}
        """By session: the worker that has it, or was asked."""
        self._refused_until: dict[str, float] = {}

    def choose(self, session: str, pool: str, now: float) -> str:
        """The worker to ask for this session; empty if any will do. The one that had it before is not asked again."""
        if (before := self._place.pop(session, None)) is not None:
            self.refused(before.worker, now)
        self._refused_until = {worker: until for worker, until in self._refused_until.items() if until > now}
        sessions = Counter(place.worker for place in self._place.values() if place.pool == pool)
        usual = [worker for worker, _ in sessions.most_common() if worker not in self._refused_until][:ENOUGH]
        if len(usual) < ENOUGH:
            return ""
        chosen = min(usual, key=lambda worker: sessions[worker])
        self._place[session] = _Place(pool, chosen)
        return chosen

    def taken(self, session: str, pool: str, worker: str) -> None:
        """The worker has the session."""
        self._place[session] = _Place(pool, worker)

    def refused(self, worker: str, now: float) -> None:
        """The worker has no room, leaves or is lost: it is not asked for a while."""
        self._refused_until[worker] = now + _REFUSED_S

    def ended(self, session: str) -> None:
        self._place.pop(session, None)
