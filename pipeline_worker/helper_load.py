"""How busy the helper processes are, by the CPU time of their threads."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping

import psutil
from prometheus_client import Counter, Gauge

_cpu = Counter("antiphon_pipeline_helper_cpu_seconds_total", "CPU time of the helper processes")
_memory = Gauge("antiphon_pipeline_helper_resident_memory_bytes", "Resident memory of the helper processes")
_helpers = Gauge("antiphon_pipeline_helpers", "Helper processes that run")

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


def resident_bytes(pids: Iterable[int]) -> int:
    """The memory of all of them. Pages that they share with each other count for each."""
    resident = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            resident += psutil.Process(pid).memory_info().rss
    return resident


class HelperLoad:
    """`helper_pids` returns the processes that run now. The process' own metrics do not include them."""

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
        # A thread that is not known yet began since; what it used in its last second is not seen.
        _cpu.inc(sum(max(0.0, used_s - before.get(thread, 0.0)) for thread, used_s in self._times.items()))
        _memory.set(resident_bytes(pids))
        _helpers.set(len(pids))
        used = (used_s - before.get(thread, used_s) for thread, used_s in self._times.items())
        return max(used, default=0.0) / elapsed_s if pids else None
