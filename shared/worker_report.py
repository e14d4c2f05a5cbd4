"""What a worker says of itself, once a second, and what the gateways place sessions by."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.keys import WorkerKind

WorkerState = Literal["starting", "serving", "draining"]

LEASE_MS = 4_000
"""A worker that has not reported for this long is taken for dead."""

REPORT_INTERVAL_S = 1.0


class WorkerReport(BaseModel):
    """One worker's last report. Fields are stored as strings in a Redis hash; new ones have defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    worker_id: str
    kind: WorkerKind
    state: WorkerState = "serving"
    sessions: int = 0
    capacity: int = 0
    pool: str = ""
    """Of a pipeline worker: the pools whose sessions it takes, comma-separated."""
    zone: str = ""
    reported_at_ms: int = 0

    def serves(self, pool: str) -> bool:
        return pool in self.pool.split(",")

    def to_hash(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.model_dump().items()}
