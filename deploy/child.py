"""Supervises one process: shows its output, restarts it after a crash, stops it within a deadline."""

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deploy.console import Console, LineSplitter
from deploy.process_command import ProcessFailed, bound_command
from shared.io.service import EXIT_BROKER, EXIT_CONFIG, EXIT_FAILED

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 5.0
HEALTHY_AFTER_S = 10.0
"""A child that ran this long has started well: its next crash counts as the first."""

HOPELESS_STARTS = 4
"""A child that never ran well is given up after this many crashes."""

_HOPELESS_CODES = (EXIT_CONFIG, EXIT_BROKER)
"""Exit codes with which a child that never ran well is given up at once."""

_LAST_LINES = 100
_OUTPUT_DRAIN_S = 1.0
_REASON = re.compile(r"[a-z_]+: ")
"""The beginning of the message that a failing service prints (see `run_service`). More lines may follow."""
_LINES_WITHOUT_REASON = 3


class RestartPolicy:
    """When a crashed child is restarted. Counts the crashes of one child; uptimes are passed in."""

    def __init__(self) -> None:
        self._crashes_in_a_row = 0
        self._ran_well = False

    def delay_after_crash(self, uptime_s: float, exit_code: int) -> float | None:
        """Seconds until the next start, or None to give up.

        A child that has once run well is always restarted: the installation is not the problem, and a broker that is
        away comes back.
        """
        if uptime_s >= HEALTHY_AFTER_S:
            self._ran_well = True
            self._crashes_in_a_row = 0
        self._crashes_in_a_row += 1
        if not self._ran_well and (exit_code in _HOPELESS_CODES or self._crashes_in_a_row >= HOPELESS_STARTS):
            return None
        doublings = min(self._crashes_in_a_row - 1, 8)
        return min(FIRST_DELAY_S * float(2**doublings), LONGEST_DELAY_S)


@dataclass(frozen=True)
class ChildSpec:
    """What to start. The output of a `quiet` child is shown only if it ends by itself."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    quiet: bool = False


class Child:
    """Runs `spec` until `stop`. Calls `on_failed` once if it cannot be kept running."""

    def __init__(self, spec: ChildSpec, console: Console, on_failed: Callable[[ProcessFailed], None]) -> None:
        self.name = spec.name
        self._spec = spec
        self._console = console
        self._on_failed = on_failed
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._stopping = asyncio.Event()

    def start(self, group: asyncio.TaskGroup) -> None:
        self._task = group.create_task(self._keep_running(), name=f"child {self.name}")

    async def stop(self, deadline_s: float) -> None:
        """Sends SIGTERM, and SIGKILL if it still runs after `deadline_s`. May be called again."""
        self._stopping.set()
        if self._task is None or self._task.done():
            return
        self._signal(signal.SIGTERM)
        await asyncio.wait({self._task}, timeout=deadline_s)
        if not self._task.done():
            self._console.log(self.name, f"did not stop within {deadline_s:g} s: killed")
            self.kill()
            await asyncio.wait({self._task})

    def kill(self) -> None:
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _keep_running(self) -> None:
        policy = RestartPolicy()
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            started_at = clock()
            exit_code = await self._run_once()
            if self._stopping.is_set():
                return
            ending = _describe_end(exit_code)
            delay_s = policy.delay_after_crash(clock() - started_at, exit_code)
            if delay_s is None:
                self._on_failed(self._failure(exit_code, ending))
                return
            self._console.log(self.name, f"{ending}; starting again in {delay_s:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _run_once(self) -> int:
        """Starts it and waits for its end. Returns the exit code, negative for a signal."""
        # With a pipe made by asyncio, some Pythons also wait for grandchildren that hold it open.
        read_fd, write_fd = os.pipe()
        self._last_lines.clear()
        output = _Output(self._on_line)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, os.fdopen(read_fd, "rb"))
        try:
            # In its own session it does not receive the terminal's Ctrl-C: we stop children in order.
            self._process = await asyncio.create_subprocess_exec(
                *bound_command(self._spec.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_fd,
                stderr=write_fd,
                env=dict(self._spec.environment),
                start_new_session=True,
            )
        except BaseException:
            transport.close()
            raise
        finally:
            os.close(write_fd)
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        exit_code = await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # processes that it left behind
        await asyncio.wait({output.ended}, timeout=_OUTPUT_DRAIN_S)
        transport.close()
        if self._spec.quiet and not self._stopping.is_set():
            for line in self._last_lines:
                self._console.log(self.name, line)
        return exit_code

    def _on_line(self, line: str) -> None:
        self._last_lines.append(line)
        if not self._spec.quiet:
            self._console.log(self.name, line)

    def _failure(self, exit_code: int, ending: str) -> ProcessFailed:
        if exit_code in _HOPELESS_CODES:
            return ProcessFailed(f"{self.name} cannot run: {self._reason()}", exit_code)
        return ProcessFailed(f"{self.name} does not start: it {ending}\n{self._reason()}", EXIT_FAILED)

    def _reason(self) -> str:
        """The message that it printed when it failed, else its last lines."""
        lines = list(self._last_lines)
        for index in reversed(range(len(lines))):
            if found := _REASON.match(lines[index]):
                return "\n".join(lines[index:])[found.end() :]
        return "\n".join(lines[-_LINES_WITHOUT_REASON:]) or "it gave no reason"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


class _Output(asyncio.Protocol):
    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._lines = LineSplitter()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        for line in self._lines.push(data):
            self._on_line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        for line in self._lines.finish():
            self._on_line(line)
        if not self.ended.done():
            self.ended.set_result(None)


def _describe_end(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    return f"was ended by {signal.Signals(-exit_code).name}"
