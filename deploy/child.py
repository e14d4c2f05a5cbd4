"""One supervised process: started, its lines shown, restarted when it crashes, stopped within a deadline."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deploy.console import Console, LineSplitter
from deploy.process_command import bound_command
from deploy.restart_policy import RestartPolicy
from shared.errors import AntiphonError
from shared.io.service import EXIT_BROKER, EXIT_CONFIG, EXIT_FAILED

_LAST_WORDS_LINES = 30
_OUTPUT_DRAIN_S = 1.0


class ChildFailed(AntiphonError):
    """A child ended in a way that starting it again does not mend."""

    code = "child_failed"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class ChildSpec:
    """What to start. The lines of a `quiet` child are shown only if it ends unasked."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    quiet: bool = False


class Child:
    """Runs `spec` until `stop`. `on_failed` is told, once, when it cannot be kept running."""

    def __init__(self, spec: ChildSpec, console: Console, on_failed: Callable[[ChildFailed], None]) -> None:
        self.name = spec.name
        self._spec = spec
        self._console = console
        self._on_failed = on_failed
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, group: asyncio.TaskGroup) -> None:
        self._task = group.create_task(self._keep_running(), name=f"child {self.name}")

    async def stop(self, deadline_s: float) -> None:
        """SIGTERM, and SIGKILL to whatever is left of it after `deadline_s`. Once or more often."""
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
            if exit_code in (EXIT_CONFIG, EXIT_BROKER):
                self._on_failed(ChildFailed(f"{self.name} cannot run: its reason stands above", exit_code))
                return
            delay_s = policy.delay_after_crash(clock() - started_at)
            if delay_s is None:
                self._on_failed(ChildFailed(f"{self.name} does not start: it {ending}", EXIT_FAILED))
                return
            self._console.log(self.name, f"{ending}; starting again in {delay_s:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _run_once(self) -> int:
        """Start it and wait for its end. Returns the exit code, negative for a signal."""
        # A pipe of our own: one from asyncio would, on some Pythons, make us wait for grandchildren that hold it.
        read_fd, write_fd = os.pipe()
        output = _Output(self._console, self.name, quiet=self._spec.quiet)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, os.fdopen(read_fd, "rb"))
        try:
            # A session of its own keeps the terminal's Ctrl-C from it: we stop children in order.
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
            os.killpg(self._process.pid, signal.SIGKILL)  # what it may have left behind
        await asyncio.wait({output.ended}, timeout=_OUTPUT_DRAIN_S)
        transport.close()
        if not self._stopping.is_set():
            output.show_last_words()
        return exit_code

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


class _Output(asyncio.Protocol):
    def __init__(self, console: Console, name: str, *, quiet: bool) -> None:
        self._console = console
        self._name = name
        self._quiet = quiet
        self._kept: deque[str] = deque(maxlen=_LAST_WORDS_LINES)
        self._lines = LineSplitter()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._take(self._lines.push(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._take(self._lines.finish())
        if not self.ended.done():
            self.ended.set_result(None)

    def show_last_words(self) -> None:
        while self._kept:
            self._console.log(self._name, self._kept.popleft())

    def _take(self, lines: list[str]) -> None:
        for line in lines:
            if self._quiet:
                self._kept.append(line)
            else:
                self._console.log(self._name, line)


def _describe_end(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    return f"was ended by {signal.Signals(-exit_code).name}"
