"""How busy the helper processes are, by the CPU time of their threads."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping

import psutil

CpuTimes = Mapping[tuple[int, int], float]
"""Seconds that each thread (process id, thread id) has used since it began."""


def thread_times(pids: Iterable[int]) -> CpuTimes:
    """Leaves out processes that have ended or whose threads cannot be read."""
    times = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            for thread in psutil.Process(pid).threads():
                times[pid, thread.id] = thread.user_time + thread.system_time
    return times


class HelperLoad:
    """`helper_pids` returns the processes that run now."""

    def __init__(
        self, helper_pids: Callable[[], Iterable[int]], times_of: Callable[[Iterable[int]], CpuTimes] = thread_times
    ) -> None:
        self._helper_pids = helper_pids
        self._times_of = times_of
        self._read_at = 0.0
        self._times: CpuTimes = {}

    def share(self) -> float | None:
        """The share of a core that the busiest of all their threads has used since the last call; None without helpers.

        A helper's work is done by one thread, or by several at the same time.
        """
        elapsed_s = time.monotonic() - self._read_at
        pids = list(self._helper_pids())
        before, self._times = self._times, self._times_of(pids)
        self._read_at += elapsed_s
        used = (used_s - before.get(thread, used_s) for thread, used_s in self._times.items())
        return max(used, default=0.0) / elapsed_s if pids else None
