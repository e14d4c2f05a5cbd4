"""A helper process that runs an engine outside the worker's process, reached over its stdin and stdout.

Many channels share the pipe; a frame carries its channel's number. If the helper dies, its open channels fail with
`EngineError`, and the next channel starts it again. A helper that hangs is killed.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline_worker.engines.helper import frames as pipe_frames
from pipeline_worker.engines.helper.frames import Frame
from shared.errors import EngineError
from shared.io.logs import get_logger

_SOURCE_ROOT = Path(__file__).parents[3]
_START_TIMEOUT_S = 20.0
_END_TIMEOUT_S = 2.0
_HANGS_S = 12.0
"""A helper hangs if waits for it that failed since its last frame add up to this."""
_FRAMES_WAITING = 1024
"""Most unread frames of a channel; one more fails it."""

log = get_logger()


class Channel:
    """One exchange with a helper. Its opener closes it."""

    def __init__(self, helper: "HelperProcess", number: int, writer: asyncio.StreamWriter) -> None:
        self._helper = helper
        self._number = number
        self._writer = writer
        self._frames: asyncio.Queue[Frame | EngineError] = asyncio.Queue(_FRAMES_WAITING)
        self._failure: EngineError | None = None

    async def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Waits while the pipe is full, so that no buffer grows."""
        if self._failure is not None:
            raise EngineError(self._failure.message, code=self._failure.code) from self._failure
        try:
            with self._helper.awaited():
                self._writer.write(pipe_frames.pack({**header, "channel": self._number}, body))
                await self._writer.drain()
        except OSError as error:
            raise EngineError(f"the {self._helper.name} helper is gone") from error

    async def receive(self, timeout_s: float) -> Frame:
        try:
            with self._helper.awaited():
                async with asyncio.timeout(timeout_s):
                    got = await self._frames.get()
        except TimeoutError as error:
            raise EngineError(f"no answer from the {self._helper.name} helper in {timeout_s:g} s") from error
        return self._checked(got)

    def receive_nowait(self) -> Frame | None:
        return None if self._frames.empty() else self._checked(self._frames.get_nowait())

    def close(self, farewell: dict[str, Any] | None = None) -> None:
        """Idempotent. `farewell` tells the helper that the channel is closed."""
        if self._helper.forget(self._number) and farewell is not None and not self._writer.is_closing():
            self._writer.write(pipe_frames.pack({**farewell, "channel": self._number}))

    def deliver(self, frame: Frame) -> None:
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.fail(EngineError(f"nobody reads the answers of the {self._helper.name} helper"))
            self._helper.forget(self._number)

    def fail(self, error: EngineError) -> None:
        self._failure = error
        if self._frames.full():
            self._frames.get_nowait()
        self._frames.put_nowait(error)

    def _checked(self, got: Frame | EngineError) -> Frame:
        if isinstance(got, EngineError):
            self._frames.put_nowait(got)
            raise EngineError(got.message, code=got.code) from got
        if "error" in got.header:
            said, code = str(got.header["error"]), got.header.get("code")
            if code is not None:  # of a model that cannot be loaded, before there are callers
                raise EngineError(said, code=code)
            raise EngineError(f"the {self._helper.name} helper failed", detail=said)
        return got


class HelperProcess:
    """Runs `module` with `-m`. `prepare`, if given, readies each started process for its users."""

    def __init__(
        self,
        module: str,
        *,
        name: str,
        prepare: Callable[["HelperProcess"], Awaitable[None]] | None = None,
        hangs_s: float = _HANGS_S,
    ) -> None:
        self.name = name
        self._module = module
        self._prepare = prepare
        self._hangs_s = hangs_s
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._channels: dict[int, Channel] = {}
        self._next_number = 0
        self._starting: asyncio.Task[None] | None = None
        self._prepared = False
        self._closed = False
        self._failed_waits_s = 0.0
        self._counted_up_to = 0.0

    @property
    def open_channels(self) -> int:
        return len(self._channels)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def open(self) -> Channel:
        """A channel to the helper, which is started first if necessary. Raises `EngineError` if it does not start.

        Cancelling this does not cancel the start: a model may take longer to load than a caller waits.
        """
        if not (self._prepared and self._running()):
            if self._starting is None or self._starting.done():
                self._starting = asyncio.create_task(self._start(), name=f"start-{self.name}-helper")
                self._starting.add_done_callback(self._started)
            await asyncio.wait([self._starting])
            if self._starting.cancelled():
                raise EngineError(f"the {self.name} helper was closed")
            self._starting.result()
        return self.open_now()

    def open_now(self) -> Channel:
        """A channel to the running helper, for `prepare`."""
        if self._process is None or self._process.stdin is None or not self._running():
            raise EngineError(f"the {self.name} helper is not running")
        self._next_number += 1
        channel = Channel(self, self._next_number, self._process.stdin)
        self._channels[self._next_number] = channel
        return channel

    def forget(self, number: int) -> bool:
        return self._channels.pop(number, None) is not None

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Wraps a wait for the helper. Kills it when the failed waits add up to too long."""
        since = _now()
        try:
            yield
        except (TimeoutError, asyncio.CancelledError):
            now = _now()
            self._failed_waits_s += now - max(since, self._counted_up_to)
            self._counted_up_to = now
            if self._failed_waits_s >= self._hangs_s and self._process is not None and self._running():
                log.warning("helper_hangs", helper=self.name, pid=self._process.pid, waited_s=self._failed_waits_s)
                self._kill(self._process)
            raise

    async def close(self) -> None:
        """Ends the process by closing its input, or kills it. Idempotent."""
        self._closed = True
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._end()

    def _running(self) -> bool:
        """A dead helper is noticed by its output or its input, whichever comes first."""
        reads = self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing()
        return reads and self._reading is not None and not self._reading.done()

    async def _start(self) -> None:
        if self._closed:
            raise EngineError(f"the {self.name} helper was closed")
        await self._end()
        # Only the launcher may know the folder of the packages. -P keeps the module's own folder out.
        paths = [str(_SOURCE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", self._module),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                )
        except (OSError, TimeoutError) as error:
            raise EngineError(f"the {self.name} helper does not start: {error}") from error
        self._heard_from()
        self._reading = asyncio.create_task(self._read(self._process), name=f"{self.name}-helper")
        if self._prepare is not None:
            await self._prepare(self)
        self._prepared = True

    def _started(self, starting: asyncio.Task[None]) -> None:
        """Logs a failure, in case nobody waits for the start."""
        if not starting.cancelled() and (error := starting.exception()) is not None:
            log.info("helper_not_started", helper=self.name, error=str(error))

    def _heard_from(self) -> None:
        self._failed_waits_s, self._counted_up_to = 0.0, _now()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        failure = EngineError(f"the {self.name} helper ended")
        try:
            while frame := await pipe_frames.receive(process.stdout):
                self._heard_from()
                channel = self._channels.get(frame.header.get("channel", 0))
                if channel:
                    channel.deliver(frame)
        except EngineError as error:
            failure = error
        finally:
            channels, self._channels = self._channels, {}
            for channel in channels.values():
                channel.fail(failure)

    async def _end(self) -> None:
        """May be cancelled and called again."""
        self._prepared = False
        if (process := self._process) is not None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                async with asyncio.timeout(_END_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                self._kill(process)
                await process.wait()
            self._process = None
        if self._reading is not None:
            await asyncio.wait([self._reading])
            self._reading = None

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _now() -> float:
    return asyncio.get_running_loop().time()
