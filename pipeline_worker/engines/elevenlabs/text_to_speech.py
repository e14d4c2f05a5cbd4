"""Text to speech by ElevenLabs over HTTP: lines of JSON, each with audio and the times of its characters.

Times are in seconds from the start of the speech.
"""

import base64
import re
from collections.abc import AsyncGenerator, Awaitable
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from pipeline_worker.engines.network.account import BaseUrl, EnvironmentName, VendorAccount, VendorOptions
from pipeline_worker.engines.network.errors import broken
from pipeline_worker.engines.network.http import VendorHttp
from pipeline_worker.engines.network.provider import NetworkProvider, User
from pipeline_worker.engines.network.speech import SAMPLE_RATE, TimedSpeech, spoken
from pipeline_worker.engines.protocols import SpeechPiece, Word
from shared.audio import as_samples

_VENDOR = "ElevenLabs"
_MODELS_WITH_LANGUAGE = "_v2_5"
"""Suffix of the models that take a language; others refuse or ignore it."""


class ElevenLabsOptions(VendorOptions):
    api_key_env: EnvironmentName = "ELEVENLABS_API_KEY"
    base_url: BaseUrl = "https://api.elevenlabs.io"
    voice: str = Field(pattern=r"^\w+$", description="id of the voice")
    model: str = "eleven_flash_v2_5"
    language: str | None = Field(
        None, pattern=r"^[a-z]{2,3}$", description="instead of the agent's, if the model takes one"
    )
    stability: float | None = Field(None, ge=0, le=1)
    similarity_boost: float | None = Field(None, ge=0, le=1)
    style: float | None = Field(None, ge=0, le=1)
    speed: float | None = Field(None, ge=0.7, le=1.2)


class _Alignment(BaseModel):
    characters: list[str]
    character_end_times_seconds: list[float]


class _Line(BaseModel):
    audio_base64: str | None = None
    alignment: _Alignment | None = None


class CharacterTimes:
    """Joins characters with times into words. A word is complete at white space or at the end."""

    def __init__(self) -> None:
        self._text = ""
        self._end_s = 0.0

    def push(self, characters: list[str], ends_s: list[float]) -> list[Word]:
        words = []
        for character, end_s in zip(characters, ends_s, strict=True):
            if character.isspace():
                words += self.finish()
            else:
                self._text += character
                self._end_s = end_s
        return words

    def finish(self) -> list[Word]:
        text, self._text = self._text, ""
        return [Word(text, round(self._end_s * SAMPLE_RATE))] if text else []


class ElevenLabsTextToSpeech:
    sample_rate = SAMPLE_RATE

    def __init__(self, http: VendorHttp, options: ElevenLabsOptions, language: str) -> None:
        self._http = http
        self._path = f"/v1/text-to-speech/{options.voice}/stream/with-timestamps"
        self._body: dict[str, Any] = {"model_id": options.model}
        if options.language or options.model.endswith(_MODELS_WITH_LANGUAGE):
            self._body["language_code"] = options.language or language.partition("-")[0]
        settings = options.model_dump(include={"stability", "similarity_boost", "style", "speed"}, exclude_none=True)
        if settings:
            self._body["voice_settings"] = settings

    def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        return spoken(_VENDOR, text, self._attempt)

    async def close(self) -> None:
        """Closed with its provider."""

    async def _attempt(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        speech = TimedSpeech()
        times = CharacterTimes()
        query = {"output_format": f"pcm_{SAMPLE_RATE}"}
        async with self._http.post(self._path, query=query, json={**self._body, "text": text}) as response:
            async for line in response.content:
                if line.strip() and (piece := _take(line, speech, times)):
                    yield piece
        speech.add_words(times.finish())
        if piece := speech.finish():
            yield piece


class ElevenLabsTextToSpeechProvider(NetworkProvider[ElevenLabsOptions, VendorHttp, ElevenLabsTextToSpeech]):
    decisive = False  # a key may be valid for speech but not for asking about the voice

    def __init__(self) -> None:
        super().__init__(_VENDOR, "text_to_speech", ElevenLabsOptions)

    def tries(self, user: User[ElevenLabsOptions]) -> tuple[VendorAccount, str]:
        return user.account, user.options.voice

    def connect(self, user: User[ElevenLabsOptions]) -> VendorHttp:
        return VendorHttp(user.account, {"xi-api-key": user.account.key}, _status_of)

    def try_out(self, connections: VendorHttp, user: User[ElevenLabsOptions]) -> Awaitable[None]:
        return connections.get(_trial_path(user.options.voice))

    def warm(self, connections: VendorHttp, user: User[ElevenLabsOptions]) -> None:
        connections.warm(_trial_path(user.options.voice))

    def engine(self, connections: VendorHttp, user: User[ElevenLabsOptions]) -> ElevenLabsTextToSpeech:
        return ElevenLabsTextToSpeech(connections, user.options, user.agent.language)


def _trial_path(voice: str) -> str:
    return f"/v1/voices/{voice}"


def _take(line: bytes, speech: TimedSpeech, times: CharacterTimes) -> SpeechPiece | None:
    try:
        parsed = _Line.model_validate_json(line)
        samples = as_samples(base64.b64decode(parsed.audio_base64 or "", validate=True))
        alignment = parsed.alignment
        words = times.push(alignment.characters, alignment.character_end_times_seconds) if alignment else []
    except (ValidationError, ValueError) as error:
        raise broken(_VENDOR, f"a line of {len(line)} bytes") from error
    return speech.push(samples, words)


def _status_of(status: int, body: str) -> int:
    """ElevenLabs answers 401 also for an account without credit and for a key without a permission."""
    if status == 401 and re.search(r'"(quota_exceeded|missing_permissions)"', body):
        return 402
    return status
