"""A server of ElevenLabs' speech with timestamps, over HTTP on 127.0.0.1."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator

from tests.fakes.vendor_server import KEY, SAMPLE_RATE, Answer, HttpVendorServer, Request, running_http, speech

VOICE = "21m00Tcm4TlvDq8ikWAM"
_BODY_FIELDS = {"text", "model_id", "language_code", "voice_settings"}
_CHARACTERS_PER_LINE = 7
"""Few, so that lines cut words apart."""


class ElevenLabsServer(HttpVendorServer):
    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, object]] = []
        self.refused_with = "invalid_api_key"
        self.may_read_voices = True

    async def respond(self, request: Request, answer: Answer) -> None:
        if request.headers.get("xi-api-key") != KEY:
            return await answer.send(401, _error(self.refused_with, "Invalid API key"))
        if self.status is not None:
            return await answer.send(self.status, _error("some_code", "some reason"))
        match request.method, request.path:
            case "GET", path if path == f"/v1/voices/{VOICE}":
                if not self.may_read_voices:
                    return await answer.send(401, _error("missing_permissions", "The key lacks voices_read"))
                return await answer.send(200, {"voice_id": VOICE})
            case "POST", path if path == f"/v1/text-to-speech/{VOICE}/stream/with-timestamps":
                return await self._speak(request, answer)
            case _:
                return await answer.send(404, _error("voice_not_found", f"no {request.method} {request.path}"))

    async def _speak(self, request: Request, answer: Answer) -> None:
        body = request.json
        if request.query != {"output_format": ["pcm_24000"]}:
            self.complaints.append(f"query {request.query}")
        if not set(body) <= _BODY_FIELDS or not body.get("text") or not body.get("model_id"):
            self.complaints.append(f"body {body}")
        self.bodies.append(body)
        self.spoken.append(body["text"])
        self.changed()
        fault = self.next_fault()
        if fault == "stall":
            await asyncio.Event().wait()
        if fault == "close":
            return answer.cut()
        answer.begin("application/json")
        if fault == "silence":
            await answer.piece(b'{"audio_base64": "", "alignment": null, "normalized_alignment": null}\n')
            return await answer.end()
        for number, line in enumerate(_lines(body["text"])):
            if number == 1 and fault == "malformed":
                await answer.piece(self.nonsense.encode() + b"\n")
            if number == 1 and fault == "stall_midway":
                await asyncio.Event().wait()
            if number == 1 and fault == "close_midway":
                return answer.cut()
            # One line in two pieces: what arrives at once need not be one line.
            await answer.piece(line[:50])
            await answer.piece(line[50:] + b"\n")
        return await answer.end()


def _error(code: str, message: str) -> dict[str, object]:
    return {"detail": {"type": "error", "code": code, "status": code, "message": message}}


def _lines(text: str) -> list[bytes]:
    """Each character takes its share of its word; white space takes no time. The times count from the beginning."""
    samples, words = speech(text)
    characters: list[str] = []
    ends: list[int] = []
    for word in words:
        if characters:
            characters.append(" ")
            ends.append(ends[-1])
        begin = word.end_sample - samples.size // len(words)
        for index, character in enumerate(word.text, 1):
            characters.append(character)
            ends.append(begin + (word.end_sample - begin) * index // len(word.text))
    lines = []
    given = 0
    for first in range(0, len(characters), _CHARACTERS_PER_LINE):
        last = min(first + _CHARACTERS_PER_LINE, len(characters))
        alignment = {
            "characters": characters[first:last],
            "character_start_times_seconds": [end / SAMPLE_RATE for end in ends[first:last]],
            "character_end_times_seconds": [end / SAMPLE_RATE for end in ends[first:last]],
        }
        audio = base64.b64encode(samples[given : ends[last - 1]].astype("<i2").tobytes()).decode()
        given = ends[last - 1]
        lines.append(
            json.dumps({"audio_base64": audio, "alignment": alignment, "normalized_alignment": alignment}).encode()
        )
    return lines


@contextlib.asynccontextmanager
async def running_elevenlabs_server() -> AsyncIterator[ElevenLabsServer]:
    server = ElevenLabsServer()
    async with running_http(server):
        yield server
    assert server.complaints == []
