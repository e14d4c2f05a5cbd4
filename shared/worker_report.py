"""What a worker reports once a second. Gateways place sessions by it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shared.keys import WorkerKind

WorkerState = Literal["starting", "serving", "draining"]
Wish = Literal["serving", "draining", "moving"]
"""What an operator wants of a worker. `draining`: no new sessions. `moving`: its sessions should move, too."""

LEASE_MS = 4_000
"""A worker that has not reported for this long counts as dead."""

REPORT_INTERVAL_S = 1.0

RESERVATION_MS = 15_000
"""How long a slot is held for a session that its worker has not reported yet."""

WISH_MS = 60_000
"""How long a wish outlives its worker's last heartbeat. Longer than an outage of the broker."""

COUNTED_MS = 30_000
"""How long a session counts against limits without a sign of its media worker: as long as it may still move."""


class WorkerReport(BaseModel):
    """A worker's last report, stored as a Redis hash of strings. New fields have defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    worker_id: str
    kind: WorkerKind
    state: WorkerState = "serving"
    sessions: int = 0
    capacity: int = 0
    pool: str = ""
    """For a pipeline worker: the pools that it serves, comma-separated."""
    zone: str = ""
    version: str = ""
    wire: int = 2
    """Version of `shared.wire` that it reads and writes. Whoever speaks 2 may not report it."""
    lag_ms: int = 0
    """How late its event loop was at worst, since the report before."""
    reported_at_ms: int = 0

    def serves(self, pool: str) -> bool:
        return pool in self.pool.split(",")

    def to_hash(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.model_dump().items()}
