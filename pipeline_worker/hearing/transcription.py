"""Speech to text: one stream per utterance, one utterance at a time."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from prometheus_client import Counter

from pipeline_worker.engines.protocols import SpeechToText, SpeechToTextStream, Transcript
from pipeline_worker.turns.events import FinalText, InterimText
from shared.audio import UPLINK_RATE, Pcm
from shared.errors import EngineError
from shared.io.logs import get_logger

_PUSH_SAMPLES = UPLINK_RATE // 10
"""Engines are in other processes or remote: one push of 100 ms costs a fifth of five pushes of 20 ms."""
_MAX_WAITING = 600
"""A minute of speech."""
MAX_CHARACTERS = 4_000
"""Of a transcript: four times what people say in a minute, which is the longest utterance."""

_dropped = Counter(
    "antiphon_transcription_dropped_total", "Pieces of speech dropped because the recognizer was too slow"
)


log = get_logger()


class _Begin(NamedTuple):
    utterance: int


class _Push(NamedTuple):
    samples: Pcm


class _Finish(NamedTuple):
    utterance: int


class _Drop(NamedTuple):
    pass


class Transcription:
    """`begin`, `push`, `finish` and `drop` return at once; `run` does the work and calls back in the same order.

    Collects the frames of a caller into pushes of 100 ms, for all engines. Has no deadlines: those of the engine
    (see `engines.fallback`) include its fallback.
    """

    def __init__(
        self,
        stt: SpeechToText,
        on_interim: Callable[[InterimText], None],
        on_final: Callable[[FinalText], None],
        on_failure: Callable[[EngineError], None],
        session_id: str = "",
    ) -> None:
        self._session_id = session_id
        self._stt = stt
        self._on_interim = on_interim
        self._on_final = on_final
        self._on_failure = on_failure
        self._steps: asyncio.Queue[_Begin | _Push | _Finish | _Drop] = asyncio.Queue()
        self._collected: list[Pcm] = []
        self._collected_samples = 0
        self._utterance = 0
        self._failed = False

    def begin(self, utterance: int, samples: Pcm) -> None:
        """Begins an utterance with `samples`."""
        if self._steps.qsize() < _MAX_WAITING:
            self._steps.put_nowait(_Begin(utterance))
            self.push(samples)
        else:
            _dropped.inc()

    def push(self, samples: Pcm) -> None:
        self._collected.append(samples)
        self._collected_samples += len(samples)
        if self._collected_samples >= _PUSH_SAMPLES:
            self._push_collected()

    def finish(self, utterance: int) -> None:
        """Ends the utterance: `on_final` will be called with its text."""
        self._push_collected()
        self._steps.put_nowait(_Finish(utterance))

    def drop(self) -> None:
        """Ends the utterance without a text."""
        self._collected.clear()
        self._collected_samples = 0
        self._steps.put_nowait(_Drop())

    async def run(self) -> None:
        """Runs until its task is cancelled."""
        stream: SpeechToTextStream | None = None
        try:
            while True:
                step = await self._steps.get()
                try:
                    stream = await self._do(step, stream)
                except EngineError as error:
                    self._on_failure(error)
                    if stream is not None:
                        await self._give_up(stream)
                    # The rest of this utterance is dropped.
                    stream, self._failed = None, True
                    if isinstance(step, _Finish):
                        self._on_final(FinalText(step.utterance, "", failed=True))
        finally:
            if stream is not None:
                await self._give_up(stream)

    async def _do(
        self, step: _Begin | _Push | _Finish | _Drop, stream: SpeechToTextStream | None
    ) -> SpeechToTextStream | None:
        """One step with the utterance's stream; returns the stream that the next step goes to."""
        match step:
            case _Begin(utterance):
                self._utterance, self._failed = utterance, False
                return self._stt.open()
            case _Push(samples) if stream is not None:
                interim = await stream.push(samples)
                if interim is not None and interim.text:
                    self._on_interim(InterimText(self._utterance, interim.text[:MAX_CHARACTERS]))
                return stream
            case _Finish(utterance):
                final = await stream.finish() if stream is not None else Transcript("", True)
                text = final.text.strip()
                if len(text) > MAX_CHARACTERS:
                    log.warning("transcript_cut", session_id=self._session_id, characters=len(text))
                self._on_final(FinalText(utterance, text[:MAX_CHARACTERS], failed=self._failed))
            case _Drop() if stream is not None:
                await stream.cancel()
        return None

    async def _give_up(self, stream: SpeechToTextStream) -> None:
        with contextlib.suppress(EngineError):  # the failure was reported already
            await stream.cancel()

    def _push_collected(self) -> None:
        if not self._collected:
            return
        if self._steps.qsize() < _MAX_WAITING:
            self._steps.put_nowait(_Push(np.concatenate(self._collected)))
        else:
            _dropped.inc()
        self._collected.clear()
        self._collected_samples = 0
