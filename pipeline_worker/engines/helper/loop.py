"""The main loop of a helper process: one thread reads requests, the main thread works on them.

The model or library does one thing at a time. The next piece of work is chosen when the last one is done, so requests
that came meanwhile, such as a cancellation, count.
"""

import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, BinaryIO, Generic, TypeVar

from pipeline_worker.engines.helper.frames import Frame, pack, read
from shared.errors import EngineError

Work = TypeVar("Work")


class HelperLoop(ABC, Generic[Work]):
    """Frames in: {channel, op, ...}. Answer to `load`: {channel, loaded: true} or {channel, error, code}.

    `changed` locks the state of both threads. `take`, `next_work` and `recheck_s` are called with it held.
    """

    def __init__(self, requests: BinaryIO, out: BinaryIO) -> None:
        self.changed = threading.Condition()
        self._requests = requests
        self._out = out
        self._load_request: Frame | None = None
        self._ended = False

    @abstractmethod
    def take(self, frame: Frame) -> None:
        """Accepts a request other than `load`, in the reading thread."""

    @abstractmethod
    def next_work(self) -> Work | None:
        """The work to do now, if any."""

    @abstractmethod
    def work(self, work: Work) -> None:
        """Does the work, in the main thread."""

    def load(self, header: dict[str, Any]) -> None:
        """Loads what a `load` request names, before any other work. May raise anything."""
        raise NotImplementedError

    def recheck_s(self) -> float | None:
        """Seconds until `next_work` is called again without a new request; None: not at all."""
        return None

    def run(self) -> None:
        """Runs until the worker closes the pipe."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        while (work := self._next()) is not None:
            if isinstance(work, Frame):
                self._load(work)
            else:
                self.work(work[0])

    def answer(self, channel: int, header: dict[str, Any], body: bytes = b"") -> None:
        self._out.write(pack({**header, "channel": channel}, body))

    def _next(self) -> Frame | tuple[Work] | None:
        with self.changed:
            while not self._ended:
                if self._load_request is not None:
                    request, self._load_request = self._load_request, None
                    return request
                if (work := self.next_work()) is not None:
                    return (work,)
                self.changed.wait(self.recheck_s())
        return None

    def _read(self) -> None:
        try:
            while frame := read(self._requests):
                with self.changed:
                    if frame.header["op"] == "load":
                        self._load_request = frame
                    else:
                        self.take(frame)
                    self.changed.notify()
        finally:
            with self.changed:
                self._ended = True
                self.changed.notify()

    def _load(self, request: Frame) -> None:
        channel = request.header["channel"]
        try:
            self.load(request.header)
        except Exception as error:  # noqa: BLE001 - whatever the libraries raise becomes a ConfigError
            self.answer(channel, {"error": described(error), "code": "bad_model"})
            return
        self.answer(channel, {"loaded": True})


def described(error: Exception) -> str:
    return error.message if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"


def serve(loop: Callable[[BinaryIO, BinaryIO], HelperLoop[Any]]) -> None:
    """Runs a helper process. `loop` takes the pipe's two ends: requests and answers."""
    # The worker ends us by closing our input. Ctrl-C and service managers signal the whole process group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # output of libraries must not mix with the frames
    try:
        loop(sys.stdin.buffer, out).run()
    except BrokenPipeError:
        os._exit(0)  # the worker is gone
