import os
import time
from collections.abc import Iterable

import pytest
from prometheus_client import REGISTRY

from pipeline_worker.helper_load import HelperLoad, thread_times
from tests.fakes.counters import Gained


class Machine:
    """CPU times of threads, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used_s: dict[tuple[int, int], float] = {}
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def times_of(self, pids: Iterable[int]) -> dict[tuple[int, int], float]:
        return {thread: used_s for thread, used_s in self.used_s.items() if thread[0] in pids}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_the_busiest_thread_of_all_helpers_counts(machine: Machine) -> None:
    load = HelperLoad(lambda: [7, 8], machine.times_of)
    machine.used_s = {(7, 7): 10.0, (8, 8): 2.0, (8, 9): 0.0}
    assert load.share() == 0.0
    machine.now += 2
    machine.used_s = {(7, 7): 10.5, (8, 8): 3.5, (8, 9): 1.0}
    assert load.share() == pytest.approx(0.75)
    machine.now += 1
    assert load.share() == 0.0


def test_a_helper_that_is_new_or_gone_does_not_count(machine: Machine) -> None:
    pids = [7]
    load = HelperLoad(lambda: pids, machine.times_of)
    assert load.share() == 0.0
    machine.now += 1
    machine.used_s = {(7, 7): 30.0}
    assert load.share() == 0.0
    machine.now += 1
    pids.clear()
    assert load.share() is None


def test_threads_of_processes_that_run_have_times() -> None:
    began = time.thread_time()
    while time.thread_time() - began < 0.1:
        pass
    no_process = 2**22 + 1  # beyond the largest process id of Linux (proc_sys_kernel(5))
    times = thread_times([os.getpid(), no_process])
    assert {pid for pid, _ in times} == {os.getpid()}
    assert max(times.values()) > 0


def test_cpu_and_memory_of_all_helpers_are_metrics(machine: Machine) -> None:
    used_s = Gained("antiphon_pipeline_helper_cpu_seconds_total")
    pids = [os.getpid()]
    load = HelperLoad(lambda: pids, machine.times_of)
    machine.used_s = {(os.getpid(), 1): 3.0, (os.getpid(), 2): 1.0}
    load.share()
    machine.now += 1
    machine.used_s = {(os.getpid(), 1): 4.0}
    load.share()
    assert used_s() == 5
    assert (REGISTRY.get_sample_value("antiphon_pipeline_helper_resident_memory_bytes") or 0) > 1_000_000
    pids.clear()
    machine.now += 1
    load.share()
    assert REGISTRY.get_sample_value("antiphon_pipeline_helper_resident_memory_bytes") == 0
    assert REGISTRY.get_sample_value("antiphon_pipeline_helpers") == 0
