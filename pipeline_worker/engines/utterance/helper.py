"""The helper's side of recognisers that take whole utterances (Moonshine, Whisper): one model, many utterances.

One thread reads the pipe and never waits for the model; the main thread runs the model, one pass at a time.

Frames in:  {channel, op: "load", interim_s, ...what the model takes}; {channel, op: "open"}; {channel, op: "push"}
            + PCM (16 kHz, 16 bit, mono); {channel, op: "finish"}; {channel, op: "cancel"}
Frames out: to load {channel, loaded: true}; while an utterance goes on {channel, text}; to finish
            {channel, text, last: true}; {channel, error, code}
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.helper.frames import Frame, pack, read
from pipeline_worker.engines.utterance.queue import MOST_UTTERANCES, Hypothesis, Pass, UtteranceQueue

Recognise = Callable[[NDArray[np.float32], Hypothesis | None], Hypothesis]
"""What an utterance (16 kHz, mono, -1 to 1) says, given what its beginning was understood to say."""
Load = Callable[[dict[str, Any]], Recognise]

_LOOK_AGAIN_S = 0.05


class Helper:
    def __init__(self, load: Load, requests: BinaryIO, out: BinaryIO) -> None:
        self._load = load
        self._requests = requests
        self._out = out
        self._changed = threading.Condition()
        self._load_request: Frame | None = None
        self._queue = UtteranceQueue(0)
        self._recognise: Recognise | None = None
        self._ended = False

    def run(self) -> None:
        """Until the worker closes the pipe."""
        threading.Thread(target=self._take_in, name="requests", daemon=True).start()
        while (work := self._next()) is not None:
            if isinstance(work, Pass):
                self._look_at(work)
            else:
                self._load_model(work)

    def _next(self) -> Frame | Pass | None:
        with self._changed:
            while not self._ended:
                if self._load_request is not None:
                    request, self._load_request = self._load_request, None
                    return request
                if self._recognise and (work := self._queue.next(time.monotonic())):
                    return work
                self._changed.wait(None if self._queue.waits_for_speech else _LOOK_AGAIN_S)
        return None

    def _take_in(self) -> None:
        try:
            while frame := read(self._requests):
                with self._changed:
                    self._take(frame)
                    self._changed.notify()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def _take(self, frame: Frame) -> None:
        channel = frame.header["channel"]
        match frame.header["op"]:
            case "load":
                self._load_request = frame
            case "open":
                if not self._queue.open(channel):
                    busy = {"error": f"more than {MOST_UTTERANCES} utterances at once", "code": "engine_busy"}
                    self._answer(channel, busy)
            case "push":
                self._queue.push(channel, frame.body)
            case "finish":
                self._queue.finish(channel)
            case "cancel":
                self._queue.cancel(channel)

    def _load_model(self, request: Frame) -> None:
        channel = request.header["channel"]
        try:
            recognise = self._load(request.header)
            recognise(np.zeros(16_000, dtype=np.float32), None)  # the first pass of a model allocates
        except Exception as error:  # noqa: BLE001 - whatever the library raises is told, and ends in a ConfigError
            self._answer(channel, {"error": f"{type(error).__name__}: {error}", "code": "bad_model"})
            return
        with self._changed:
            self._recognise = recognise
            self._queue = UtteranceQueue(request.header["interim_s"])
        self._answer(channel, {"loaded": True})

    def _look_at(self, work: Pass) -> None:
        began = time.monotonic()
        failure: dict[str, str] = {}
        hypothesis = work.before
        try:
            if not work.covered:
                hypothesis = self._hear(work)
        except Exception as error:  # noqa: BLE001 - one utterance fails, the helper serves the others
            hypothesis, failure = None, {"error": f"{type(error).__name__}: {error}"}
        with self._changed:
            text = self._queue.done(work, hypothesis, began, time.monotonic())
        if text is not None:
            self._answer(work.channel, (failure or {"text": text}) | ({"last": True} if work.final else {}))

    def _hear(self, work: Pass) -> Hypothesis:
        assert self._recognise is not None
        samples = np.frombuffer(work.pcm, dtype="<i2").astype(np.float32) / np.float32(32768)
        return self._recognise(samples, work.before)

    def _answer(self, channel: int, header: dict[str, Any]) -> None:
        self._out.write(pack({**header, "channel": channel}))


def serve(load: Load) -> None:
    """The helper's `main`."""
    # The worker decides when we end, by closing our input; a Ctrl-C or a service manager signals the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What the library prints must not get among the frames.
    try:
        Helper(load, sys.stdin.buffer, out).run()
    except BrokenPipeError:
        os._exit(0)  # The worker is gone.
