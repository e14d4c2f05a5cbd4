"""Text to speech by any LiveKit plugin, with word times if the plugin reports them."""

from collections.abc import AsyncGenerator
from importlib import import_module
from typing import Any

import numpy as np

from pipeline_worker.engines.livekit.plugin import LiveKitPlugins, connect_options, seconds, translated_errors
from pipeline_worker.engines.protocols import SpeechPiece, Word
from pipeline_worker.engines.resampling import Resampler
from shared.audio import OPUS_RATES, Pcm

_USUAL_RATE = 24_000


class LiveKitTextToSpeech:
    """The plugin's object belongs to the provider."""

    def __init__(self, tts: Any, vendor: str) -> None:
        self._tts = tts
        self._vendor = vendor
        self.sample_rate: int = tts.sample_rate if tts.sample_rate in OPUS_RATES else _USUAL_RATE

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        if not any(map(str.isalnum, text)):
            return  # only punctuation: vendors refuse it or invent a sound
        with translated_errors(self._vendor):
            async with self._asked(text) as answers:
                resampler: Resampler | None = None
                async for answer in answers:
                    frame = answer.frame
                    samples: Pcm = np.frombuffer(frame.data, dtype="<i2")[:: frame.num_channels]
                    if frame.sample_rate != self.sample_rate:
                        resampler = resampler or Resampler(frame.sample_rate, self.sample_rate)
                        samples = resampler.push(samples)
                    words = self._words(frame.userdata)
                    if len(samples) or words:
                        yield SpeechPiece(samples, words)
                if resampler is not None:
                    yield SpeechPiece(resampler.flush(), ())

    async def close(self) -> None:
        """Closed with its provider."""

    def _asked(self, text: str) -> Any:
        if not self._tts.capabilities.streaming:
            return self._tts.synthesize(text, conn_options=connect_options())
        stream = self._tts.stream(conn_options=connect_options())
        stream.push_text(text)
        stream.end_input()
        return stream

    def _words(self, userdata: dict[str, Any]) -> tuple[Word, ...]:
        timed = userdata.get(import_module("livekit.agents.types").USERDATA_TIMED_TRANSCRIPT, ())
        return tuple(
            Word(word.strip(), round(end_s * self.sample_rate))
            for word in timed
            if word.strip() and (end_s := seconds(word.end_time)) is not None
        )


class LiveKitTextToSpeechProvider(LiveKitPlugins):
    def __init__(self) -> None:
        super().__init__("text_to_speech", "TTS")

    def open(self, agent_id: str) -> LiveKitTextToSpeech:
        return LiveKitTextToSpeech(self.get(agent_id), self.name(agent_id))
