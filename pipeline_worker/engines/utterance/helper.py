"""The helper process of recognizers of whole utterances (Moonshine, Whisper): one model, many utterances.

Frames in:  {channel, op: "load", interim_s, ...settings of the model}; {channel, op: "open"}; {channel, op: "push"}
            + PCM (16 kHz, 16 bit, mono); {channel, op: "finish"}; {channel, op: "cancel"}
Frames out: interim {channel, text}; final {channel, text, last: true}; {channel, error, code}
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.helper import loop
from pipeline_worker.engines.helper.frames import Frame
from pipeline_worker.engines.helper.loop import HelperLoop, described
from pipeline_worker.engines.utterance.queue import MOST_UTTERANCES, Hypothesis, Pass, UtteranceQueue

Recognize = Callable[[NDArray[np.float32], Hypothesis | None], Hypothesis]
"""Transcribes an utterance (16 kHz, mono, -1 to 1), given the hypothesis for its beginning."""
Load = Callable[[dict[str, Any]], Recognize]

_RECHECK_S = 0.05


class UtteranceHelper(HelperLoop[Pass]):
    def __init__(self, load: Load, requests: BinaryIO, out: BinaryIO) -> None:
        super().__init__(requests, out)
        self._load_model = load
        self._queue = UtteranceQueue(0)
        self._recognize: Recognize | None = None

    def take(self, frame: Frame) -> None:
        channel = frame.header["channel"]
        match frame.header["op"]:
            case "open":
                if not self._queue.open(channel):
                    busy = {"error": f"more than {MOST_UTTERANCES} utterances at once", "code": "engine_busy"}
                    self.answer(channel, busy)
            case "push":
                self._queue.push(channel, frame.body)
            case "finish":
                self._queue.finish(channel)
            case "cancel":
                self._queue.cancel(channel)

    def next_work(self) -> Pass | None:
        return self._queue.next(time.monotonic()) if self._recognize else None

    def recheck_s(self) -> float | None:
        return None if self._queue.waits_for_speech else _RECHECK_S

    def load(self, header: dict[str, Any]) -> None:
        recognize = self._load_model(header)
        recognize(np.zeros(16_000, dtype=np.float32), None)  # the first pass of a model allocates
        with self.changed:
            self._recognize = recognize
            self._queue = UtteranceQueue(header["interim_s"])

    def work(self, work: Pass) -> None:
        began = time.monotonic()
        failure: dict[str, str] = {}
        hypothesis = work.before
        try:
            if not work.covered:
                hypothesis = self._transcribe(work)
        except Exception as error:  # noqa: BLE001 - one utterance fails, the helper serves the others
            hypothesis, failure = None, {"error": described(error)}
        with self.changed:
            text = self._queue.done(work, hypothesis, began, time.monotonic())
        if text is not None:
            self.answer(work.channel, (failure or {"text": text}) | ({"last": True} if work.final else {}))

    def _transcribe(self, work: Pass) -> Hypothesis:
        assert self._recognize is not None
        samples = np.frombuffer(work.pcm, dtype="<i2").astype(np.float32) / np.float32(32768)
        return self._recognize(samples, work.before)


def serve(load: Load) -> None:
    """Runs the helper process."""
    loop.serve(partial(UtteranceHelper, load))
