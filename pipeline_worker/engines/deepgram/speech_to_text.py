"""Speech to text by Deepgram Nova, live over a WebSocket that serves one utterance after the other.

Our endpointing decides when an utterance is over: Deepgram's is off, and `Finalize` makes it send the rest at once. It
answers with a result that is marked `from_finalize`, or, according to its documentation, sometimes not at all.
"""

import asyncio
import json
from collections.abc import Awaitable

from pydantic import BaseModel, Field, ValidationError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from pipeline_worker.engines.network.account import BaseUrl, EnvironmentName, VendorAccount, VendorOptions
from pipeline_worker.engines.network.errors import ConnectionLostError, broken, late, lost
from pipeline_worker.engines.network.provider import NetworkProvider, User
from pipeline_worker.engines.network.websocket_pool import WebSocketPool
from pipeline_worker.engines.protocols import Transcript
from shared.audio import UPLINK_RATE, Pcm
from shared.errors import EngineError

_VENDOR = "Deepgram"
_FINALIZE = json.dumps({"type": "Finalize"})
_KEEP_ALIVE = json.dumps({"type": "KeepAlive"})
_CLOSE = json.dumps({"type": "CloseStream"})
_ANSWER_TIMEOUT_S = 5.0
_QUIET_S = 1.0
"""After `Finalize`, no more results are expected this long after the last one."""
_KEPT_SAMPLES = 60 * UPLINK_RATE
"""An utterance up to this length is kept, to be sent again if its connection is lost."""


class DeepgramOptions(VendorOptions):
    api_key_env: EnvironmentName = "DEEPGRAM_API_KEY"
    base_url: BaseUrl = "https://api.deepgram.com"
    model: str = "nova-3"
    language: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]{2,12}$", description="instead of the agent's; multi for several"
    )
    smart_format: bool = Field(True, description="write numbers, dates, addresses as people do")
    keyterms: tuple[str, ...] = Field((), max_length=100, description="names and terms to listen for (nova-3)")


class _Alternative(BaseModel):
    transcript: str


class _Channel(BaseModel):
    alternatives: list[_Alternative] = Field(min_length=1)


class _Results(BaseModel):
    channel: _Channel
    is_final: bool = False
    from_finalize: bool = False


class _Message(BaseModel):
    type: str
    description: str | None = None
    message: str | None = None


class TranscriptParts:
    """The transcript so far: final segments, and the one that may still change."""

    def __init__(self) -> None:
        self._final: list[str] = []
        self._interim = ""
        self.has_results = False
        self.is_ending = False
        """`Finalize` is about to be sent."""
        self.is_finalized = False

    @property
    def text(self) -> str:
        return " ".join(filter(None, [*self._final, self._interim]))

    def take(self, data: str | bytes) -> None:
        """Takes a message of Deepgram. Raises `EngineError` for an error message and for anything else."""
        try:
            message = _Message.model_validate_json(data)
            if message.type == "Results":
                self._take(_Results.model_validate_json(data))
        except ValidationError as error:
            raise broken(_VENDOR, f"a message of {len(data)} bytes") from error
        if message.type == "Error":
            said = message.description or message.message or "no reason given"
            raise EngineError(f"{_VENDOR} reports an error", code="engine_refused", detail=said[:200])

    def _take(self, results: _Results) -> None:
        if results.from_finalize and not self.is_ending:
            return  # a repeated result of the previous utterance
        text = results.channel.alternatives[0].transcript.strip()
        self.has_results = True
        self.is_finalized = results.from_finalize
        if results.is_final:
            self._final.append(text)
            self._interim = ""
        else:
            self._interim = text


class DeepgramStream:
    """One utterance. A lost connection is replaced once, and the new one gets the utterance from its beginning."""

    def __init__(self, pool: WebSocketPool) -> None:
        self._pool = pool
        self._connection: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._transcript = TranscriptParts()
        self._news = asyncio.Event()
        self._failure: EngineError | None = None
        self._messages: list[bytes | str] = []
        self._sent = 0
        self._samples = 0
        self._may_replace = True
        self._reported = ""
        self._over = False

    async def push(self, samples: Pcm) -> Transcript | None:
        if self._over:
            raise EngineError("the utterance is over")
        self._samples += len(samples)
        self._messages.append(samples.astype("<i2").tobytes())
        await self._deliver()
        if self._samples > _KEPT_SAMPLES:
            self._may_replace = False
            self._messages, self._sent = [], 0
        text = self._transcript.text
        if text in ("", self._reported):
            return None
        self._reported = text
        return Transcript(text, final=False)

    async def finish(self) -> Transcript:
        if self._over:
            raise EngineError("the utterance is over")
        self._over = True
        try:
            if self._samples:
                self._messages.append(_FINALIZE)
                self._transcript.is_ending = True
                await self._deliver()
                await self._until_finalized()
            return Transcript(self._transcript.text, final=True)
        finally:
            await self._release()

    async def cancel(self) -> None:
        self._over = True
        await self._release()

    async def _deliver(self) -> None:
        """Sends what is not sent yet."""
        while True:
            if self._failure is not None:
                await self._replace(self._failure)
            try:
                connection = await self._connected()
                while self._sent < len(self._messages):
                    await connection.send(self._messages[self._sent])
                    self._sent += 1
                return
            except ConnectionClosed as error:
                self._failure = self._failure or lost(_VENDOR, error)

    async def _until_finalized(self) -> None:
        while not self._transcript.is_finalized:
            if self._failure is not None:
                await self._deliver()
                continue
            self._news.clear()
            try:
                async with asyncio.timeout(_QUIET_S if self._transcript.has_results else _ANSWER_TIMEOUT_S):
                    await self._news.wait()
            except TimeoutError as error:
                if self._transcript.has_results:
                    return
                raise late(_VENDOR) from error

    async def _connected(self) -> ClientConnection:
        if self._connection is None:
            self._connection = await self._pool.take()
            self._reading = asyncio.create_task(self._read(self._connection), name="deepgram-results")
        return self._connection

    async def _read(self, connection: ClientConnection) -> None:
        """Reads until the result that ends the utterance."""
        try:
            while not self._transcript.is_finalized:
                self._transcript.take(await connection.recv())
                self._news.set()
        except ConnectionClosed as error:
            self._failure = lost(_VENDOR, error)
        except EngineError as error:
            self._failure = error
        self._news.set()

    async def _replace(self, failure: EngineError) -> None:
        if not self._may_replace or not isinstance(failure, ConnectionLostError):
            raise failure
        await self._release()
        self._may_replace = False
        self._failure = None
        self._transcript = TranscriptParts()
        self._transcript.is_ending = self._over
        self._sent = 0

    async def _release(self) -> None:
        """Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None or self._reading is None:
            return
        if self._transcript.is_finalized and self._reading.done():
            self._pool.give_back(connection)
            return
        self._reading.cancel()
        self._pool.discard(connection, _CLOSE)
        await asyncio.wait([self._reading])


class DeepgramSpeechToText:
    def __init__(self, pool: WebSocketPool) -> None:
        self._pool = pool

    def open(self) -> DeepgramStream:
        return DeepgramStream(self._pool)

    async def close(self) -> None:
        """Closed with its provider."""


class DeepgramSpeechToTextProvider(NetworkProvider[DeepgramOptions, WebSocketPool, DeepgramSpeechToText]):
    """One pool of connections per account and options. Deepgram checks the options when a connection opens."""

    def __init__(self) -> None:
        super().__init__(_VENDOR, "speech_to_text", DeepgramOptions)

    def shares(self, user: User[DeepgramOptions]) -> tuple[VendorAccount, str]:
        return user.account, _url(user)

    def connect(self, user: User[DeepgramOptions]) -> WebSocketPool:
        headers = {"Authorization": f"Token {user.account.key}"}
        return WebSocketPool(_VENDOR, _url(user), headers, keep_alive=_KEEP_ALIVE)

    def try_out(self, connections: WebSocketPool, user: User[DeepgramOptions]) -> Awaitable[None]:
        return connections.try_out()

    def warm(self, connections: WebSocketPool, user: User[DeepgramOptions]) -> None:
        connections.warm()

    def engine(self, connections: WebSocketPool, user: User[DeepgramOptions]) -> DeepgramSpeechToText:
        return DeepgramSpeechToText(connections)


def _url(user: User[DeepgramOptions]) -> str:
    options = user.options
    return user.account.websocket_url(
        "/v1/listen",
        {
            "model": options.model,
            "language": options.language or user.agent.language,
            "encoding": "linear16",
            "sample_rate": str(UPLINK_RATE),
            "channels": "1",
            "interim_results": "true",
            "punctuate": "true",
            "smart_format": str(options.smart_format).lower(),
            "endpointing": "false",
            "keyterm": list(options.keyterms),
        },
    )
