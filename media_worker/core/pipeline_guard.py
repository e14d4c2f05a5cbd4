"""Who a session's pipeline worker is, and when to ask for another one. The media worker alone decides this.

Theory of operation: each request for a worker carries an epoch, one higher than the one before. A worker may attach
under an epoch that was asked for since the last attachment. Audio and messages are accepted only of the attached
worker, under its epoch, so two workers are never heard at once, even if a stopped one wakes up.

A worker that falls silent is lost: from then on it is not accepted, and another one is asked for. A worker that leaves
serves the session until the next one has attached; if it attaches again, it stays, unless its request was claimed
already. A request that is no longer in the list of jobs was claimed by a worker that has died since, unless it attaches
soon; then another request is made. A session that costs three workers in a minute is given up, because it would cost
the next ones too.

Nothing here reads a clock. Time counts only while the broker can be read.
"""

from collections import deque
from typing import Literal, NamedTuple

LOOKS_UNTIL_GONE = 4
"""A claimed job is looked for every half second: its worker has a second and a half to attach."""
MOST_TAKEOVERS, TAKEOVER_WINDOW_S = 3, 60.0
EPOCHS_SKIPPED = 10
"""After a move, because the previous media worker may have asked for workers that have not attached yet."""
_LONGEST_STEP_S = 1.0
"""A longer time between two checks is a stall of our own process."""


class Asked(NamedTuple):
    """Ask for a worker. `resumed`: the session had one before."""

    epoch: int
    resumed: bool


class Lost(NamedTuple):
    """The worker of that epoch no longer serves the session."""

    worker: str
    epoch: int


class GivenUp(NamedTuple):
    """The session cannot go on."""

    code: Literal["no_pipeline", "pipeline_lost"]


Decision = Asked | Lost | GivenUp
Verdict = Literal["accepted", "repeated", "refused"]


class PipelineGuard:
    """Times are seconds of any monotonic clock. `worker` and `epoch` are given for a session that moved here."""

    def __init__(self, first_timeout_s: float, takeover_timeout_s: float, worker: str = "", epoch: int = 0) -> None:
        self.worker = worker
        """The attached one; empty if there is none."""
        self.epoch = epoch
        """Of the attached worker, or else of the last one."""
        self._first_timeout_s = first_timeout_s
        self._takeover_timeout_s = takeover_timeout_s
        self._asked = epoch + EPOCHS_SKIPPED if epoch else 0
        self._open_requests: set[int] = set()
        """Epochs under which a worker may attach."""
        self._is_asking = False
        """The last request waits, or was claimed a moment ago."""
        self._looks = 0
        self._takeovers: deque[float] = deque()
        self._checked_s: float | None = None
        self._waited_s = 0.0

    def begin(self, now: float) -> list[Decision]:
        """The caller is connected."""
        self._checked_s = now
        return [] if self.worker else self._ask()

    def end(self) -> None:
        """The session ends soon: it keeps its worker, but needs no other."""
        self._checked_s = None
        self._is_asking = False
        self._open_requests.clear()

    def accepts(self, sender: str, epoch: int) -> bool:
        """Whether this is the attached worker under its epoch."""
        return epoch == self.epoch and sender == self.worker != ""

    def on_attached(self, worker: str, epoch: int) -> Verdict:
        if worker == self.worker and epoch == self.epoch:
            self._is_asking = False  # it stays, but a worker that has claimed the request may still attach
            return "repeated"
        if epoch not in self._open_requests:
            return "refused"
        self.worker, self.epoch = worker, epoch
        self._is_asking = False
        self._open_requests.clear()
        self._waited_s = 0.0
        return "accepted"

    def on_gone(self, worker: str, now: float) -> list[Decision]:
        """That worker does not have the session."""
        return self._lose(now) if worker == self.worker != "" and self._checked_s is not None else []

    def on_leaving(self) -> list[Decision]:
        """The attached worker wants to be relieved."""
        return [] if self._is_asking or self._checked_s is None else self._ask()

    def on_look(self, waiting: bool, now: float) -> list[Decision]:
        """Whether the last request still waits in the list of jobs."""
        self._looks = 0 if waiting else self._looks + 1
        if self._looks < LOOKS_UNTIL_GONE or not self._is_asking:
            return []
        self._looks = 0
        return self._take_over(now)

    def check(self, now: float, silent: bool, deaf: bool) -> list[Decision]:
        """Call it a few times a second. `silent`: nothing came of the worker; `deaf`: the broker cannot be read."""
        if self._checked_s is None:
            return []
        elapsed_s = min(now - self._checked_s, _LONGEST_STEP_S)
        self._checked_s = now
        if self.worker:
            return self._lose(now) if silent and not deaf else []
        if not deaf:
            self._waited_s += elapsed_s
        timeout_s = self._takeover_timeout_s if self.epoch else self._first_timeout_s
        if self._waited_s <= timeout_s:
            return []
        self.end()
        return [GivenUp("no_pipeline")]

    def _lose(self, now: float) -> list[Decision]:
        lost = Lost(self.worker, self.epoch)
        self.worker = ""
        return [lost, *([] if self._is_asking else self._take_over(now))]

    def _take_over(self, now: float) -> list[Decision]:
        while self._takeovers and now - self._takeovers[0] > TAKEOVER_WINDOW_S:
            self._takeovers.popleft()
        if len(self._takeovers) < MOST_TAKEOVERS:
            self._takeovers.append(now)
            return self._ask()
        if self.worker:
            return []  # a worker that leaves stays until it ends
        self.end()
        return [GivenUp("pipeline_lost")]

    def _ask(self) -> list[Decision]:
        self._asked += 1
        self._open_requests.add(self._asked)
        self._is_asking = True
        self._looks = 0
        return [Asked(self._asked, resumed=self.epoch > 0)]
