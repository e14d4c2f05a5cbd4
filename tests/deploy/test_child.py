import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from deploy import child
from deploy.child import HEALTHY_AFTER_S, HOPELESS_STARTS, LONGEST_DELAY_S, Child, ChildSpec, RestartPolicy
from deploy.console import Console
from deploy.process_command import ProcessFailed
from shared.io.service import EXIT_BROKER, EXIT_CONFIG, EXIT_FAILED
from tests.fakes.patience import eventually

DEADLINE_S = 30.0
CRASH = -6


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Logs(io.StringIO):
    """Text that a test can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._written = asyncio.Event()

    async def shows(self, text: str) -> None:
        """Return once `text` has been written."""
        while text not in self.getvalue():
            await self._written.wait()
            self._written.clear()

    def write(self, text: str) -> int:
        self._written.set()
        return super().write(text)


class Guarded:
    """A child that runs a Python program."""

    def __init__(self, program: str, *, quiet: bool = False) -> None:
        self.logs = Logs()
        self.failed: asyncio.Future[ProcessFailed] = asyncio.get_running_loop().create_future()
        spec = ChildSpec("it", [sys.executable, "-c", program], os.environ, quiet)
        self.child = Child(spec, Console(io.StringIO(), self.logs), self.failed.set_result)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            self.child.start(group)
            try:
                yield
            finally:
                await self.child.stop(deadline_s=DEADLINE_S)


@pytest.mark.parametrize("code", [EXIT_CONFIG, EXIT_BROKER])
async def test_a_wrong_setting_or_a_missing_broker_is_not_tried_again(code: int) -> None:
    watched = Guarded(f"print('kitchen: the reason'); raise SystemExit({code})")
    async with watched.running():
        failure = await watched.failed
    assert failure.exit_code == code
    assert failure.message == "it cannot run: the reason"
    assert watched.logs.getvalue() == "it         | kitchen: the reason\n"


async def test_a_worker_that_crashed_while_the_broker_hung_is_restarted_until_the_broker_is_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`antiphon up` ended everything with exit code 69, although the worker had run well before."""
    monkeypatch.setattr(child, "HEALTHY_AFTER_S", 0.0)
    monkeypatch.setattr(child, "FIRST_DELAY_S", 0.001)
    runs = tmp_path / "runs"
    crashes = f"""
import pathlib, sys, time
runs = pathlib.Path({str(runs)!r})
runs.touch()
with runs.open("a") as file: file.write("x")
if len(runs.read_text()) <= {HOPELESS_STARTS}: sys.exit({EXIT_BROKER})
print("serving", flush=True)
time.sleep(600)
"""
    watched = Guarded(crashes)
    async with watched.running():
        await watched.logs.shows("serving")
    assert not watched.failed.done()
    assert watched.logs.getvalue().count(f"ended with exit code {EXIT_BROKER}; starting again") == HOPELESS_STARTS


async def test_a_child_that_never_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "FIRST_DELAY_S", 0.001)
    watched = Guarded("for word in 'abcd': print(word)\nraise SystemExit(3)")
    async with watched.running():
        failure = await watched.failed
    assert failure.exit_code == EXIT_FAILED
    assert failure.message == "it does not start: it ended with exit code 3\nb\nc\nd"
    assert watched.logs.getvalue().count("starting again") == HOPELESS_STARTS - 1


async def test_a_quiet_child_is_shown_only_when_it_ends_by_itself() -> None:
    watched = Guarded(f"print('chatter'); raise SystemExit({EXIT_CONFIG})", quiet=True)
    async with watched.running():
        await watched.failed
    assert "chatter" in watched.logs.getvalue()


async def test_stopping_interrupts_the_wait_before_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "FIRST_DELAY_S", 3600.0)
    monkeypatch.setattr(child, "LONGEST_DELAY_S", 3600.0)
    watched = Guarded("raise SystemExit(3)")
    async with watched.running():
        await watched.logs.shows("starting again in 3600 s")
    assert not watched.failed.done()


async def test_a_grandchild_that_holds_the_output_open_does_not_delay_the_end() -> None:
    grandchild = "import subprocess; subprocess.Popen(['sleep', '600'])"
    watched = Guarded(f"{grandchild}; raise SystemExit({EXIT_CONFIG})")
    async with watched.running():
        assert (await watched.failed).exit_code == EXIT_CONFIG


async def test_processes_that_a_crashed_child_left_behind_are_ended() -> None:
    leaves_one = """
import subprocess, sys
left = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(left.pid, flush=True)
"""
    watched = Guarded(f"{leaves_one}raise SystemExit({EXIT_CONFIG})")
    async with watched.running():
        await watched.failed
    left = int(watched.logs.getvalue().split()[-1])
    await eventually(lambda: has_ended(left))


async def test_a_child_that_does_not_stop_is_killed_at_its_deadline() -> None:
    ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
    watched = Guarded(f"{ignores}; time.sleep(600)")
    async with watched.running():
        await watched.logs.shows("up")
        await watched.child.stop(deadline_s=0.1)
    assert "it         | did not stop within 0.1 s: killed" in watched.logs.getvalue()
    assert not watched.failed.done()


async def test_stopping_twice_or_before_the_start_does_nothing() -> None:
    watched = Guarded("")
    await watched.child.stop(deadline_s=0)
    async with watched.running():
        await watched.child.stop(deadline_s=DEADLINE_S)
    assert not watched.failed.done()


def test_a_child_that_never_ran_well_is_given_up_after_growing_delays() -> None:
    policy = RestartPolicy()
    delays = [policy.delay_after_crash(0.1, CRASH) for _ in range(HOPELESS_STARTS)]
    assert delays == [0.5, 1.0, 2.0, None]


def test_a_child_that_once_ran_well_is_always_restarted() -> None:
    policy = RestartPolicy()
    policy.delay_after_crash(HEALTHY_AFTER_S, CRASH)
    delays = [policy.delay_after_crash(0.1, code) for code in (EXIT_BROKER, EXIT_CONFIG, *[CRASH] * 2000)]
    assert delays[:3] == [1.0, 2.0, 4.0]
    assert set(delays[3:]) == {LONGEST_DELAY_S}


def test_a_good_run_resets_the_delay() -> None:
    policy = RestartPolicy()
    for _ in range(HOPELESS_STARTS - 1):
        policy.delay_after_crash(0.1, CRASH)
    assert policy.delay_after_crash(HEALTHY_AFTER_S, CRASH) == 0.5
