"""Text to speech by Cartesia Sonic over a WebSocket: JSON messages with audio, and others with word times.

A text is one context. A connection could carry several contexts; ours carries one, so that a slow listener does not
hold back the speech of others. Times are in seconds from the start of the context.
"""

import base64
import json
from collections.abc import AsyncGenerator, Awaitable
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, Field, ValidationError
from websockets.exceptions import ConnectionClosed

from pipeline_worker.engines.network.account import BaseUrl, EnvironmentName, VendorOptions
from pipeline_worker.engines.network.errors import broken, lost, refusal
from pipeline_worker.engines.network.provider import NetworkProvider, User
from pipeline_worker.engines.network.speech import SAMPLE_RATE, TimedSpeech, spoken
from pipeline_worker.engines.network.websocket_pool import WebSocketPool
from pipeline_worker.engines.protocols import SpeechPiece, Word
from shared.audio import as_samples

_VENDOR = "Cartesia"
_API_VERSION = "2026-03-01"


class CartesiaOptions(VendorOptions):
    api_key_env: EnvironmentName = "CARTESIA_API_KEY"
    base_url: BaseUrl = "https://api.cartesia.ai"
    voice: str = Field(pattern=r"^[\w-]+$", description="id of the voice")
    model: str = "sonic-3.5"
    language: str | None = Field(None, pattern=r"^[a-z]{2,3}$", description="instead of the agent's")
    speed: float | None = Field(None, ge=0.6, le=1.5)
    volume: float | None = Field(None, ge=0.5, le=2)
    emotion: str | None = None


class _WordTimes(BaseModel):
    words: list[str]
    end: list[float]


class _Message(BaseModel):
    type: str
    context_id: str | None = None
    data: str = ""
    word_timestamps: _WordTimes | None = None
    status_code: int = 500
    title: str | None = None
    message: str | None = None
    error: str | None = None


class CartesiaTextToSpeech:
    sample_rate = SAMPLE_RATE

    def __init__(self, pool: WebSocketPool, options: CartesiaOptions, language: str) -> None:
        self._pool = pool
        self._request: dict[str, Any] = {
            "model_id": options.model,
            "voice": {"mode": "id", "id": options.voice},
            "language": options.language or language.partition("-")[0],
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE},
            "add_timestamps": True,
            "continue": False,
        }
        config = options.model_dump(include={"speed", "volume", "emotion"}, exclude_none=True)
        if config:
            self._request["generation_config"] = config

    def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        return spoken(_VENDOR, text, self._attempt)

    async def close(self) -> None:
        """Closed with its provider."""

    async def _attempt(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        context = uuid4().hex
        speech = TimedSpeech()
        done = False
        connection = await self._pool.take()
        try:
            await connection.send(json.dumps({**self._request, "transcript": text, "context_id": context}))
            while not done:
                message = _read(await connection.recv())
                if message.context_id not in (context, None):
                    continue  # of a text that was given up
                done = message.type == "done"
                if piece := _take(message, speech):
                    yield piece
        except ConnectionClosed as error:
            raise lost(_VENDOR, error) from error
        finally:
            if done:
                self._pool.give_back(connection)
            else:
                self._pool.discard(connection, json.dumps({"context_id": context, "cancel": True}))
        if piece := speech.finish():
            yield piece


class CartesiaTextToSpeechProvider(NetworkProvider[CartesiaOptions, WebSocketPool, CartesiaTextToSpeech]):
    def __init__(self) -> None:
        super().__init__(_VENDOR, "text_to_speech", CartesiaOptions)

    def connect(self, user: User[CartesiaOptions]) -> WebSocketPool:
        url = user.account.websocket_url("/tts/websocket", {"cartesia_version": _API_VERSION})
        return WebSocketPool(_VENDOR, url, {"X-API-Key": user.account.key, "Cartesia-Version": _API_VERSION})

    def try_out(self, connections: WebSocketPool, user: User[CartesiaOptions]) -> Awaitable[None]:
        return connections.try_out()

    def warm(self, connections: WebSocketPool, user: User[CartesiaOptions]) -> None:
        connections.warm()

    def engine(self, connections: WebSocketPool, user: User[CartesiaOptions]) -> CartesiaTextToSpeech:
        return CartesiaTextToSpeech(connections, user.options, user.agent.language)


def _read(text: str | bytes) -> _Message:
    try:
        return _Message.model_validate_json(text)
    except ValidationError as error:
        raise broken(_VENDOR, f"a message of {len(text)} characters") from error


def _take(message: _Message, speech: TimedSpeech) -> SpeechPiece | None:
    try:
        if message.type == "chunk":
            return speech.push(as_samples(base64.b64decode(message.data, validate=True)))
        if message.type == "timestamps" and (times := message.word_timestamps):
            ends = zip(times.words, times.end, strict=True)
            speech.add_words([Word(text, round(end_s * SAMPLE_RATE)) for text, end_s in ends])
    except ValueError as error:
        raise broken(_VENDOR, f"a message '{message.type}' with invalid audio or word times") from error
    if message.type == "error":
        said = ": ".join(filter(None, [message.title, message.message, message.error]))
        raise refusal(_VENDOR, message.status_code, said)
    return None
