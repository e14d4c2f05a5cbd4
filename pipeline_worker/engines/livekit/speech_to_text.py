"""Speech to text by any LiveKit plugin. A plugin that does not stream gets the whole utterance at its end."""

import asyncio
import contextlib
from importlib import import_module
from typing import Any

import numpy as np

from pipeline_worker.engines.livekit.plugin import LiveKitPlugins, connect_options, translated_errors
from pipeline_worker.engines.protocols import SpeechToTextStream, Transcript
from shared.audio import UPLINK_RATE, Pcm
from shared.errors import EngineError

_LAST_WORDS_S = 4.0
"""How long `finish` waits for the end of the stream. Some plugins leave it open; the text so far is then the result."""
_LONGEST_UTTERANCE = 60 * UPLINK_RATE


class LiveKitStream:
    """One utterance in a stream of the plugin, which is a new connection with most vendors."""

    def __init__(self, stt: Any, vendor: str) -> None:
        self._stt = stt
        self._vendor = vendor
        self._stream: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._final: list[str] = []
        self._interim = ""
        self._reported = ""
        self._over = False

    async def push(self, samples: Pcm) -> Transcript | None:
        with translated_errors(self._vendor):
            self._opened().push_frame(_frame(samples))
        text = self._text()
        if text == self._reported:
            return None
        self._reported = text
        return Transcript(text, final=False)

    async def finish(self) -> Transcript:
        if self._stream is None and not self._over:
            self._over = True
            return Transcript("", final=True)
        try:
            with translated_errors(self._vendor):
                self._opened().end_input()
            assert self._reading is not None
            await asyncio.wait([self._reading], timeout=_LAST_WORDS_S)
            if self._reading.done():
                self._reading.result()
            elif not self._text():
                raise EngineError(f"{self._vendor} does not finish its text", code="engine_timeout")
        finally:
            await self.cancel()
        return Transcript(self._text(), final=True)

    async def cancel(self) -> None:
        self._over = True
        reading, self._reading = self._reading, None
        stream, self._stream = self._stream, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
            _ = reading.cancelled() or reading.exception()  # a failure is known already, or irrelevant
        if stream is not None:
            with contextlib.suppress(EngineError), translated_errors(self._vendor):  # given up in any case
                await stream.aclose()

    def _opened(self) -> Any:
        if self._over:
            raise EngineError("the utterance is over")
        if self._stream is None:
            self._stream = self._stt.stream(conn_options=connect_options())
            self._reading = asyncio.create_task(self._read(self._stream), name=f"livekit-stt-{self._vendor}")
        elif self._reading is not None and self._reading.done():
            self._reading.result()  # raises its failure
        return self._stream

    async def _read(self, stream: Any) -> None:
        kinds = import_module("livekit.agents.stt").SpeechEventType
        with translated_errors(self._vendor):
            async for event in stream:
                text = event.alternatives[0].text.strip() if event.alternatives else ""
                match event.type:
                    case kinds.FINAL_TRANSCRIPT:
                        self._interim = ""
                        if text:
                            self._final.append(text)
                    case kinds.INTERIM_TRANSCRIPT | kinds.PREFLIGHT_TRANSCRIPT:
                        self._interim = text

    def _text(self) -> str:
        return " ".join([*self._final, self._interim]).strip()


class WholeUtterance:
    """One utterance for a plugin that does not stream."""

    def __init__(self, stt: Any, vendor: str) -> None:
        self._stt = stt
        self._vendor = vendor
        self._pieces: list[Pcm] = []
        self._samples = 0
        self._over = False

    async def push(self, samples: Pcm) -> Transcript | None:
        self._check_open()
        if self._samples < _LONGEST_UTTERANCE:
            self._pieces.append(samples)
            self._samples += len(samples)
        return None

    async def finish(self) -> Transcript:
        self._check_open()
        self._over = True
        if not self._pieces:
            return Transcript("", final=True)
        with translated_errors(self._vendor):
            event = await self._stt.recognize(_frame(np.concatenate(self._pieces)), conn_options=connect_options())
        return Transcript(event.alternatives[0].text.strip() if event.alternatives else "", final=True)

    async def cancel(self) -> None:
        self._over = True
        self._pieces.clear()

    def _check_open(self) -> None:
        if self._over:
            raise EngineError("the utterance is over")


class LiveKitSpeechToText:
    """The plugin's object belongs to the provider."""

    def __init__(self, stt: Any, vendor: str) -> None:
        self._stt = stt
        self._vendor = vendor

    def open(self) -> SpeechToTextStream:
        streams = self._stt.capabilities.streaming
        return LiveKitStream(self._stt, self._vendor) if streams else WholeUtterance(self._stt, self._vendor)

    async def close(self) -> None:
        """Closed with its provider."""


class LiveKitSpeechToTextProvider(LiveKitPlugins):
    def __init__(self) -> None:
        super().__init__("speech_to_text", "STT")

    def open(self, agent_id: str) -> LiveKitSpeechToText:
        return LiveKitSpeechToText(self.get(agent_id), self.name(agent_id))


def _frame(samples: Pcm) -> Any:
    pcm = samples.astype("<i2").tobytes()
    return import_module("livekit.rtc").AudioFrame(pcm, UPLINK_RATE, 1, len(samples))
