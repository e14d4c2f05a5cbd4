import os
import time
from pathlib import Path

import pytest

from pipeline_worker.helper_load import HelperLoad

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Proc:
    """A folder like /proc, and the time."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def used(self, pid: int, thread: int, user_s: float, system_s: float = 0.0) -> None:
        stat = self.root / str(pid) / "task" / str(thread) / "stat"
        stat.parent.mkdir(parents=True, exist_ok=True)
        user, system = round(user_s * TICKS_PER_S), round(system_s * TICKS_PER_S)
        stat.write_text(f"{thread} (a name) of ours) S 1 2 3 4 5 6 7 8 9 10 {user} {system} 7 7 20 0 4 0")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    return Proc(tmp_path, monkeypatch)


def test_the_busiest_thread_of_all_helpers_tells(proc: Proc) -> None:
    load = HelperLoad(lambda: [7, 8], proc.root)
    proc.used(7, 7, 10.0)
    proc.used(8, 8, 1.0, 1.0)
    proc.used(8, 9, 0.0)
    assert load.share() == 0.0
    proc.now += 2
    proc.used(7, 7, 10.5)
    proc.used(8, 8, 1.5, 2.0)
    proc.used(8, 9, 1.0)
    assert load.share() == pytest.approx(0.75)
    proc.now += 1
    assert load.share() == 0.0


def test_a_helper_that_is_new_or_gone_counts_for_nothing(proc: Proc) -> None:
    pids = [7]
    load = HelperLoad(lambda: pids, proc.root)
    assert load.share() == 0.0
    proc.now += 1
    proc.used(7, 7, 30.0)
    assert load.share() == 0.0
    proc.now += 1
    pids.clear()
    assert load.share() == 0.0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no account of threads here")
def test_linux_tells_what_this_process_uses() -> None:
    load = HelperLoad(lambda: [os.getpid()])
    load.share()
    began = time.thread_time()
    while time.thread_time() - began < 0.1:
        pass
    assert load.share() > 0.0
