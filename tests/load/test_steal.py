import subprocess
import sys

from tests.load.steal import StealWatch, stolen_s, waited_for_processor_s


def watch_of(stolen_per_interval_s: list[float]) -> StealWatch:
    watch = StealWatch()
    for index in range(len(stolen_per_interval_s)):
        watch.add(index * 0.1, sum(stolen_per_interval_s[: index + 1]))
    return watch


def test_a_moment_is_quiet_if_nothing_was_stolen_around_it() -> None:
    watch = watch_of([0.0] * 20 + [0.05] + [0.0] * 20)
    assert watch.quiet(1.0)
    assert not watch.quiet(1.7)
    assert not watch.quiet(2.3)
    assert watch.quiet(3.0)
    assert 2.0 < watch.quiet_s(0.0) < 3.5


def test_the_kernel_counts_stolen_time() -> None:
    assert stolen_s() >= 0
    assert watch_of([0.0, 0.1]).share() > 0
    assert watch_of([]).share() == 0


def test_a_process_that_shares_a_processor_waits_for_it() -> None:
    busy = [
        sys.executable,
        "-c",
        "import os, time\nos.sched_setaffinity(0, {0})\nwhile time.process_time() < 0.2: pass",
    ]
    with subprocess.Popen(busy) as one, subprocess.Popen(busy) as other:
        waited_s = 0.0
        while one.poll() is None and other.poll() is None:
            waited_s = max(waited_s, waited_for_processor_s(one.pid))
    assert waited_s > 0.05
    assert waited_for_processor_s(one.pid) == 0
