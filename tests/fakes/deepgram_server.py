"""Servers of Deepgram's live transcription (a WebSocket) and of its speech (HTTP) on 127.0.0.1."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

from tests.fakes.vendor_server import KEY, Answer, HttpVendorServer, Request, VendorServer, running_http, speech

_LISTEN_QUERY = {
    "model": "nova-3",
    "encoding": "linear16",
    "sample_rate": "16000",
    "channels": "1",
    "interim_results": "true",
    "punctuate": "true",
    "endpointing": "false",
}
_RESULT_SAMPLES = 8_000
"""An interim result after so much audio."""

ListenFault = Literal["stall", "close", "close_at_end", "malformed", "error", "no_end"]


class DeepgramListenServer(VendorServer):
    """Hears `texts`, one after the other: a word more with each half second, the whole at `Finalize`."""

    def __init__(self, *texts: str) -> None:
        super().__init__()
        self.texts = list(texts)
        self.listen_fault: ListenFault | None = None
        self.faulty_connections: int | None = None
        """How many connections, from the first, have the fault; None: all."""
        self.heard: list[bytes] = []
        """The audio of each utterance, as it came to its end."""
        self.queries: list[dict[str, list[str]]] = []
        self.keep_alives = 0
        self.closed_streams = 0
        self._sockets: set[ServerConnection] = set()

    @property
    def open_connections(self) -> int:
        return len(self._sockets)

    def admit(self, connection: ServerConnection, handshake: Handshake) -> Response | None:
        url = urlsplit(handshake.path)
        query = parse_qs(url.query)
        if url.path != "/v1/listen":
            return connection.respond(404, "no such path")
        if handshake.headers.get("Authorization") != f"Token {KEY}":
            return connection.respond(401, '{"err_code": "INVALID_AUTH"}')
        if self.status is not None:
            response = connection.respond(self.status, "{}")
            response.headers["dg-error"] = "Bad Request: no such model/language"
            return response
        if any(query.get(name) != [value] for name, value in _LISTEN_QUERY.items()) or "language" not in query:
            self.complaints.append(f"query {query}")
            return connection.respond(400, "bad query")
        self.queries.append(query)
        return None

    async def serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        self._sockets.add(connection)
        self.changed()
        faulty = self.faulty_connections is None or self.connections <= self.faulty_connections
        audio = b""
        told = 0
        try:
            async for message in connection:
                fault = self.listen_fault if faulty else None
                if isinstance(message, bytes):
                    audio += message
                    if len(message) % 2:
                        self.complaints.append("half a sample")
                    if fault == "close":
                        return await connection.close(1011, "NET-0000")
                    if fault == "malformed":
                        await _send(connection, '{"type": "Results", "channel": {}}')
                    if fault == "error":
                        await _send(connection, json.dumps({"type": "Error", "description": "no such keyterm"}))
                    if fault in (None, "no_end", "close_at_end") and len(audio) // 2 // _RESULT_SAMPLES > told:
                        told += 1
                        await _send(connection, _results(" ".join(self._text().split()[:told])))
                    continue
                match json.loads(message)["type"]:
                    case "KeepAlive":
                        self.keep_alives += 1
                    case "Finalize" if fault == "close_at_end":
                        return await connection.close(1011, "NET-0000")
                    case "Finalize" if fault in (None, "no_end"):
                        if fault is None:
                            await self._tell_all(connection)
                        self.heard.append(audio)
                        audio, told = b"", 0
                    case "Finalize":
                        pass
                    case "CloseStream":
                        self.closed_streams += 1
                        await _send(connection, json.dumps({"type": "Metadata", "duration": 0.0, "channels": 1}))
                        return await connection.close(1000)
                    case other:
                        self.complaints.append(f"message {other}")
                self.changed()
        except ConnectionClosed:
            pass
        finally:
            self._sockets.discard(connection)
            self.changed()

    async def drop_connections(self) -> None:
        """As the vendor does with connections on which nothing came for ten seconds."""
        for connection in list(self._sockets):
            await connection.close(1011, "NET-0001")

    def _text(self) -> str:
        return self.texts[0] if self.texts else ""

    async def _tell_all(self, connection: ServerConnection) -> None:
        """In two segments, which exposes a client that takes the last for the whole."""
        words = (self.texts.pop(0) if self.texts else "").split()
        half = len(words) // 2
        if half:
            await _send(connection, _results(" ".join(words[:half]), is_final=True))
        await _send(connection, _results(" ".join(words[half:]), is_final=True, from_finalize=True))


class DeepgramSpeakServer(HttpVendorServer):
    async def respond(self, request: Request, answer: Answer) -> None:
        if request.headers.get("authorization") != f"Token {KEY}":
            return await answer.send(401, {"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."})
        if self.status is not None:
            return await answer.send(self.status, {"err_code": "SOME_CODE", "err_msg": "some reason"})
        match request.method, request.path:
            case "GET", "/v1/auth/token":
                return await answer.send(200, {"api_key_id": "1"})
            case "POST", "/v1/speak":
                return await self._speak(request, answer)
            case _:
                return await answer.send(404, {"err_code": "NOT_FOUND"})

    async def _speak(self, request: Request, answer: Answer) -> None:
        expected = {
            "model": ["aura-2-thalia-en"],
            "encoding": ["linear16"],
            "sample_rate": ["24000"],
            "container": ["none"],
        }
        body = request.json
        if request.query != expected or set(body) != {"text"} or not body["text"]:
            self.complaints.append(f"request {request}")
        self.spoken.append(body["text"])
        self.changed()
        fault = self.next_fault()
        if fault == "stall":
            await asyncio.Event().wait()
        if fault == "close":
            return answer.cut()
        answer.begin("audio/pcm")
        if fault != "silence":
            await self._stream(speech(body["text"])[0].astype("<i2").tobytes(), answer, fault)
        return None if fault == "close_midway" else await answer.end()

    async def _stream(self, pcm: bytes, answer: Answer, fault: str | None) -> None:
        for number, start in enumerate(range(0, len(pcm), 1_001)):
            if number == 1 and fault == "stall_midway":
                await asyncio.Event().wait()
            if number == 1 and fault == "close_midway":
                return answer.cut()
            if number == 1 and fault == "malformed":
                return None
            await answer.piece(pcm[start : start + 1_001])
        return None


async def _send(connection: ServerConnection, message: str) -> None:
    """The server still reads what a client sent before it closed."""
    with contextlib.suppress(ConnectionClosed):
        await connection.send(message)


def _results(text: str, *, is_final: bool = False, from_finalize: bool = False) -> str:
    alternative: dict[str, Any] = {"transcript": text, "confidence": 0.9, "words": []}
    return json.dumps(
        {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": 1.0,
            "start": 0.0,
            "is_final": is_final,
            "speech_final": False,
            "channel": {"alternatives": [alternative]},
            "metadata": {"request_id": "1"},
            "from_finalize": from_finalize,
        }
    )


@contextlib.asynccontextmanager
async def running_listen_server(*texts: str) -> AsyncIterator[DeepgramListenServer]:
    server = DeepgramListenServer(*texts)
    async with serve(server.serve, "127.0.0.1", 0, process_request=server.admit, close_timeout=1) as listener:
        server.base_url = "http://{}:{}".format(*next(iter(listener.sockets)).getsockname())
        yield server
    assert server.complaints == []


@contextlib.asynccontextmanager
async def running_speak_server() -> AsyncIterator[DeepgramSpeakServer]:
    server = DeepgramSpeakServer()
    async with running_http(server):
        yield server
    assert server.complaints == []
