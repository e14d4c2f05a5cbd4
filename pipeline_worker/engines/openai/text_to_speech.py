"""Text to speech behind a server of OpenAI's speech: raw samples as they are made, without word times."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from pydantic import Field

from pipeline_worker.engines.network.errors import broken
from pipeline_worker.engines.openai.client import OpenAiClient
from pipeline_worker.engines.openai.provider import OpenAiOptions, OpenAiProvider
from pipeline_worker.engines.protocols import SpeechPiece
from pipeline_worker.engines.resampling import Resampler
from shared.agent import AgentDefinition
from shared.audio import BYTES_PER_SAMPLE, OPUS_RATES, Pcm, as_samples

_FILE_MAGIC = {b"RIFF": "a WAV file", b"OggS": "an Ogg file", b"fLaC": "a FLAC file", b"ID3": "an MP3 file"}
_MAGIC_BYTES = 4


class TtsOptions(OpenAiOptions):
    voice: str = Field(min_length=1, max_length=200, description="the server's name of the voice")
    speed: float | None = Field(None, ge=0.25, le=4, description="1 is the voice's own")
    instructions: str = Field("", max_length=4000, description="how to speak, for models that can be told")
    sample_rate: int = Field(24_000, ge=8_000, le=96_000, description="of the raw samples that the server sends, in Hz")


class OpenAiTextToSpeech:
    """Speech of one voice."""

    def __init__(self, client: OpenAiClient, options: TtsOptions, agent: AgentDefinition) -> None:
        self.sample_rate = next((rate for rate in OPUS_RATES if rate >= options.sample_rate), OPUS_RATES[-1])
        self._client = client
        self._server_rate = options.sample_rate
        self._options = options
        self._request: dict[str, Any] = {
            "model": options.model,
            "voice": options.voice,
            "response_format": "pcm",
            **options.model_dump(include={"speed", "instructions"}, exclude_defaults=True),
            **options.extra_body,
        }

    async def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        """Pieces as they arrive. Words have no times."""
        if not re.search(r"\w", text):
            return
        server, options = self._client.account.vendor, self._options
        speech = _Samples(self._server_rate, self.sample_rate)
        async with self._client.http.post(
            "/audio/speech",
            json={"input": text, **self._request},
            headers=options.extra_headers,
            silence_s=options.timeout_s,
        ) as answer:
            self._check_type(answer.headers.get("content-type", ""))
            async for received in answer.content.iter_any():
                samples = speech.push(received)
                if what := speech.not_samples:
                    raise broken(server, f"{what} in place of raw samples")
                if len(samples):
                    yield SpeechPiece(samples, ())
        if not speech.received:
            raise broken(server, "speech without a sample")
        if len(rest := speech.flush()):
            yield SpeechPiece(rest, ())

    async def close(self) -> None:
        """The connections belong to the provider."""

    def _check_type(self, content_type: str) -> None:
        """Anything else played as samples would be a loud noise."""
        if re.match(r"text/|application/json|audio/(mpeg|wav|x-wav|ogg|flac|aac)", content_type):
            raise broken(self._client.account.vendor, f"{content_type} in place of raw samples")


class _Samples:
    """Converts the server's bytes, which may end inside a sample, to samples at our rate."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._resampler = Resampler(from_rate, to_rate) if from_rate != to_rate else None
        self._rest = b""
        self.received = 0
        self.not_samples = ""
        """What the bytes are instead, such as "a WAV file"."""

    def push(self, received: bytes) -> Pcm:
        joined = self._rest + received
        if self.received == 0:
            if len(joined) < _MAGIC_BYTES:
                self._rest = joined
                return np.zeros(0, dtype=np.int16)
            self.not_samples = next((what for magic, what in _FILE_MAGIC.items() if joined.startswith(magic)), "")
        whole = len(joined) - len(joined) % BYTES_PER_SAMPLE
        self._rest = joined[whole:]
        self.received += whole
        samples = as_samples(joined[:whole])
        return samples if self._resampler is None else self._resampler.push(samples)

    def flush(self) -> Pcm:
        return np.zeros(0, dtype=np.int16) if self._resampler is None else self._resampler.flush()


class OpenAiTextToSpeechProvider(OpenAiProvider[TtsOptions, OpenAiTextToSpeech]):
    def __init__(self) -> None:
        super().__init__("text_to_speech", TtsOptions, OpenAiTextToSpeech)
