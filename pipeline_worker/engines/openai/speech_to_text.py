"""Speech to text behind a server of OpenAI's transcriptions: a whole utterance at a time."""

import asyncio
import io
import json
import wave
from collections import deque
from contextlib import aclosing
from typing import Any

import numpy as np
from aiohttp import ClientResponse
from pydantic import Field

from pipeline_worker.engines.network.errors import broken
from pipeline_worker.engines.network.http import MAX_BODY_BYTES, File, read_at_most
from pipeline_worker.engines.openai.client import OpenAiClient, read_rest
from pipeline_worker.engines.openai.provider import OpenAiOptions, OpenAiProvider
from pipeline_worker.engines.protocols import Transcript
from shared.agent import AgentDefinition
from shared.audio import BYTES_PER_SAMPLE, UPLINK_RATE, Pcm, samples_in
from shared.errors import EngineError
from shared.io.logs import get_logger

_SHORTEST_SAMPLES = samples_in(100, UPLINK_RATE)
"""Servers refuse less, and it contains no word."""

log = get_logger()


class SttOptions(OpenAiOptions):
    language: str | None = Field(
        None, pattern=r"^([a-z]{2,3})?$", description="in place of the agent's; empty lets the server find out"
    )
    prompt: str = Field("", max_length=2000, description="names and words to expect")
    stream: bool = Field(False, description="take the transcript as it forms, from servers that offer it")
    interim_every_s: float | None = Field(
        None, ge=0.3, le=30, description="also transcribe what was said so far; each time costs a request"
    )
    max_utterance_s: float = Field(120.0, ge=1, le=600, description="of a longer utterance the end is transcribed")


class OpenAiSpeechToText:
    """Hands out a stream per utterance; the connections belong to the provider."""

    def __init__(self, client: OpenAiClient, options: SttOptions, agent: AgentDefinition) -> None:
        self._client = client
        self.options = options
        language = agent.language.partition("-")[0] if options.language is None else options.language
        fields = {"language": language, "prompt": options.prompt, "stream": "true" if options.stream else ""}
        extra = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in options.extra_body.items()
        }
        self._form = {"model": options.model, **{name: text for name, text in fields.items() if text}, **extra}

    def open(self) -> "OpenAiSpeechToTextStream":
        return OpenAiSpeechToTextStream(self)

    async def close(self) -> None:
        """The connections belong to the provider."""

    async def transcribe(self, pcm: bytes) -> str:
        """The text of 16 kHz mono `pcm`."""
        client, options = self._client, self.options
        form: dict[str, str | File] = {**self._form, "file": ("utterance.wav", _wav(pcm), "audio/wav")}
        async with client.http.post(
            "/audio/transcriptions", form=form, headers=options.extra_headers, silence_s=options.timeout_s
        ) as answer:
            with client.shape_explained():
                if answer.content_type == "text/event-stream":
                    text = await self._streamed(answer)
                else:  # also servers and models that ignore `stream`
                    text = json.loads(await read_at_most(answer, MAX_BODY_BYTES))["text"]
                if not isinstance(text, str):
                    raise ValueError("a transcript without text")
        return text.strip()

    async def _streamed(self, answer: ClientResponse) -> Any:
        async with aclosing(self._client.events(answer)) as events:
            async for event in events:
                if event["type"] == "transcript.text.done":
                    await read_rest(events)
                    return event["text"]
        raise broken(self._client.account.vendor, "a transcript that ends in the middle")


class OpenAiSpeechToTextStream:
    """One utterance. `push` never waits for the server."""

    def __init__(self, stt: OpenAiSpeechToText) -> None:
        self._stt = stt
        self._pieces: deque[Pcm] = deque()
        self._samples = 0
        self._since_interim = 0
        self._interim: asyncio.Task[str] | None = None
        self._shown = ""
        self._over = False

    async def push(self, samples: Pcm) -> Transcript | None:
        if self._over:
            raise EngineError("the utterance is over")
        self._pieces.append(samples)
        self._samples += len(samples)
        self._since_interim += len(samples)
        most = samples_in(self._stt.options.max_utterance_s * 1000, UPLINK_RATE)
        while self._samples - len(self._pieces[0]) >= most:
            self._samples -= len(self._pieces.popleft())
        return self._newest_interim()

    async def finish(self) -> Transcript:
        if self._over:
            raise EngineError("the utterance is over")
        await self.cancel()
        if self._samples < _SHORTEST_SAMPLES:
            return Transcript("", final=True)
        return Transcript(await self._stt.transcribe(self._pcm()), final=True)

    async def cancel(self) -> None:
        self._over = True
        if self._interim is not None:
            self._interim.cancel()
            await asyncio.wait({self._interim})
            self._interim = None

    def _newest_interim(self) -> Transcript | None:
        newest = self._interim_text() if self._interim is not None and self._interim.done() else ""
        every_s = self._stt.options.interim_every_s
        if every_s is not None and self._interim is None and self._since_interim >= every_s * UPLINK_RATE:
            self._since_interim = 0
            self._interim = asyncio.create_task(self._stt.transcribe(self._pcm()))
        if newest in ("", self._shown):
            return None
        self._shown = newest
        return Transcript(newest, final=False)

    def _interim_text(self) -> str:
        """The text of the finished request. A failure is only logged: the final request may succeed."""
        assert self._interim is not None
        interim, self._interim = self._interim, None
        try:
            return interim.result()
        except EngineError as error:
            log.info("interim_transcript_failed", code=error.code, reason=error.message)
            return ""

    def _pcm(self) -> bytes:
        return np.concatenate(self._pieces).astype("<i2").tobytes()


class OpenAiSpeechToTextProvider(OpenAiProvider[SttOptions, OpenAiSpeechToText]):
    def __init__(self) -> None:
        super().__init__("speech_to_text", SttOptions, OpenAiSpeechToText)


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(BYTES_PER_SAMPLE)
        recording.setframerate(UPLINK_RATE)
        recording.writeframes(pcm)
    return file.getvalue()
