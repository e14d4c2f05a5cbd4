"""A server of OpenAI's protocol on 127.0.0.1: chat, transcription and speech, with faults on request.

In a test: `async with running_openai_server(reply="Hello.") as server`, then `server.base_url`, `server.faults`.
For benchmarks and evaluations as a process: `python -m tests.fakes.openai_server --port 8099 --first-token-ms 200`.
"""

import argparse
import asyncio
import contextlib
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, cast

import numpy as np

TTS_RATE = 24_000
_MAX_REQUEST_BYTES = 32 * 1024 * 1024
_KEPT_REQUESTS = 1000
_SPEECH_S_PER_CHARACTER = 0.065
_TONE_HZ = 220
_PCM_PIECE_BYTES = 4_801
"""A tenth of a second and one byte: network pieces do not end where samples do."""


@dataclass
class Manner:
    """How the server answers. May be changed while it runs."""

    reply: str = "Certainly, I can do that for you."
    echo: bool = False
    """Reply with the caller's last words instead."""
    tool_calls: Sequence[tuple[str, str]] = ()
    """(name, arguments) that the model asks for as long as the conversation's last message is the caller's."""
    transcripts: Sequence[str] = ("hello",)
    """What is heard, one after the other, in a cycle."""
    key: str | None = None
    first_token_s: float = 0.0
    tokens_per_s: float = 0.0
    """0: all at once."""
    transcription_s: float = 0.0
    streams_transcripts: bool = True
    """Else `stream` is ignored, as by some models."""
    first_speech_s: float = 0.0
    speech_speed: float = 0.0
    """How much faster than real time speech is made; 0: all at once."""
    speech_type: str = "audio/pcm"
    speech_begins: bytes = b""
    """Sent before the samples."""


class Fault(NamedTuple):
    """What goes wrong with one request, `after` this many pieces of the answer; None: in place of an answer."""

    kind: Literal["status", "stall", "close", "malformed", "error_event", "end"]
    after: int | None = None
    status: int = 500
    message: str = "something went wrong"
    code: str | int = "server_error"
    detail: bool = False
    """Whether the error is wrapped as FastAPI does it."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @cached_property
    def json(self) -> Any:
        return json.loads(self.body)

    @cached_property
    def form(self) -> dict[str, bytes]:
        """The fields of a multipart body."""
        boundary = self.headers["content-type"].partition("boundary=")[2].strip('"').encode()
        fields = {}
        for part in self.body.split(b"--" + boundary)[1:-1]:
            head, _, value = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]*)"', head)
            assert name is not None
            fields[name[1].decode()] = value.removesuffix(b"\r\n")
        return fields


class OpenAiServer:
    """`faults` apply to the next requests, one each, and `models_fault` to every one for the list of models."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.faults: deque[Fault] = deque()
        self.models_fault: Fault | None = None
        self.requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self.connections = 0
        """Connections that were ever made."""
        self.disconnects = 0
        """Answers that the client abandoned."""
        self.active = 0
        """Answers under way."""
        self.base_url = ""
        self._transcribed = 0
        self.transports: set[asyncio.Transport] = set()
        self._changed = asyncio.Event()
        self._listener: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port)
        self.base_url = "http://{}:{}/v1".format(*self._listener.sockets[0].getsockname())

    async def run(self) -> None:
        """Serves until it is cancelled."""
        assert self._listener is not None
        await self._listener.serve_forever()

    async def close(self) -> None:
        self.stop_listening()
        self.drop_connections()
        await self.until(lambda: not self.transports)

    def stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def drop_connections(self) -> None:
        """As a restarting server or a forgetful firewall does."""
        for transport in self.transports:
            transport.abort()

    async def until(self, condition: Any, timeout_s: float = 15.0) -> None:
        """Until `condition()` holds after some connection or answer began or ended; `TimeoutError` otherwise."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == f"/v1{path}"]

    def connected(self, transport: asyncio.Transport) -> None:
        self.connections += 1
        self.transports.add(transport)
        self._changed.set()

    def disconnected(self, transport: asyncio.Transport) -> None:
        self.transports.discard(transport)
        self._changed.set()

    async def answer(self, request: Request, connection: "_Connection") -> None:
        self.requests.append(request)
        self.active += 1
        self._changed.set()
        try:
            await self._answer(request, connection)
        finally:
            self.active -= 1
            self._changed.set()

    async def _answer(self, request: Request, connection: "_Connection") -> None:
        key = self.manner.key
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            return connection.send_json(_error("Incorrect API key provided", "invalid_api_key"), 401)
        if (request.method, request.path) == ("GET", "/v1/models"):
            if self.models_fault is not None:
                return await _misbehave(self.models_fault, connection)
            return connection.send_json({"object": "list", "data": [{"id": "loopback", "object": "model"}]})
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and fault.after is None:
            return await _misbehave(fault, connection)
        match request.path:
            case "/v1/chat/completions":
                await connection.stream("text/event-stream", self._chat(request), fault)
            case "/v1/audio/speech":
                await connection.stream(self.manner.speech_type, self._speech(request), fault)
            case "/v1/audio/transcriptions":
                await self._transcribe(request, connection, fault)
            case _:
                connection.send_json(_error(f"no {request.path} here", "not_found"), 404)
        return None

    async def _chat(self, request: Request) -> AsyncIterator[bytes]:
        manner, last = self.manner, request.json["messages"][-1]
        await asyncio.sleep(manner.first_token_s)
        if manner.tool_calls and last["role"] == "user":
            for delta in _tool_call_deltas(manner.tool_calls):
                yield _chunk({"tool_calls": [delta]})
            yield _chunk({}, "tool_calls")
        else:
            text = str(last["content"]) if manner.echo else manner.reply
            begun = asyncio.get_running_loop().time()
            for number, token in enumerate(re.findall(r"\S+\s*", text)):
                await _at(begun, number / manner.tokens_per_s if manner.tokens_per_s else 0)
                yield _chunk({"content": token} if number else {"role": "assistant", "content": token})
            yield _chunk({}, "stop")
        yield b"data: [DONE]\n\n"

    async def _speech(self, request: Request) -> AsyncIterator[bytes]:
        manner = self.manner
        await asyncio.sleep(manner.first_speech_s)
        pcm = manner.speech_begins + tone(request.json["input"])
        begun = asyncio.get_running_loop().time()
        for start in range(0, len(pcm), _PCM_PIECE_BYTES):
            await _at(begun, start / 2 / TTS_RATE / manner.speech_speed if manner.speech_speed else 0)
            yield pcm[start : start + _PCM_PIECE_BYTES]

    async def _transcribe(self, request: Request, connection: "_Connection", fault: Fault | None) -> None:
        text = self.manner.transcripts[self._transcribed % len(self.manner.transcripts)]
        self._transcribed += 1
        await asyncio.sleep(self.manner.transcription_s)
        if self.manner.streams_transcripts and request.form.get("stream") == b"true":
            await connection.stream("text/event-stream", _transcript_events(text), fault)
        else:
            connection.send_json({"text": text})


class _Connection(asyncio.Protocol):
    """One client and its requests, one after the other. When it disconnects, its answer ends."""

    def __init__(self, server: OpenAiServer) -> None:
        self._server = server
        self._received = bytearray()
        self._answering: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._server.connected(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._take_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:
            self._answering.cancel()
            self._server.disconnects += 1
        self._server.disconnected(self._transport)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def send_json(self, value: object, status: int = 200, **headers: str) -> None:
        body = json.dumps(value).encode()
        lines = [f"{name}: {text}" for name, text in headers.items()]
        self._head(status, "Content-Type: application/json", f"Content-Length: {len(body)}", *lines)
        self._transport.write(body)

    async def stream(self, content_type: str, pieces: AsyncIterator[bytes], fault: Fault | None) -> None:
        self._head(200, f"Content-Type: {content_type}", "Transfer-Encoding: chunked")
        sent = 0
        async for piece in pieces:
            if fault is not None and fault.after == sent:
                await _misbehave(fault, self)
                if fault.kind == "close":
                    return
                if fault.kind in ("end", "error_event"):
                    break
            self.send_piece(piece)
            await self._may_write.wait()
            sent += 1
        self._transport.write(b"0\r\n\r\n")

    def send_piece(self, piece: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def close(self) -> None:
        self._transport.close()

    def _head(self, status: int, *lines: str) -> None:
        self._transport.write("\r\n".join([f"HTTP/1.1 {status} Loopback", *lines, "", ""]).encode())

    def _take_request(self) -> None:
        if self._answering is not None or (end := self._received.find(b"\r\n\r\n")) < 0:
            return
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if "transfer-encoding" in headers or length > _MAX_REQUEST_BYTES:
            self._transport.abort()
        elif len(self._received) >= end + 4 + length:
            method, path, _ = first.split(" ")
            body = bytes(self._received[end + 4 : end + 4 + length])
            del self._received[: end + 4 + length]
            request = Request(method, path, headers, body)
            self._answering = asyncio.get_running_loop().create_task(self._server.answer(request, self))
            self._answering.add_done_callback(self._answered)

    def _answered(self, _: asyncio.Task[None]) -> None:
        self._answering = None
        if not self._transport.is_closing():
            self._take_request()


@contextlib.asynccontextmanager
async def running_openai_server(**manner: Any) -> AsyncIterator[OpenAiServer]:
    """Fields of `Manner` as keywords."""
    server = OpenAiServer(Manner(**manner))
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def tone(text: str) -> bytes:
    """A tone in place of speech, as long as the speech of `text`."""
    samples = round(len(text) * _SPEECH_S_PER_CHARACTER * TTS_RATE)
    wave = 8000 * np.sin(np.arange(samples) * (2 * np.pi * _TONE_HZ / TTS_RATE))
    return bytes(wave.astype("<i2").tobytes())


async def _misbehave(fault: Fault, connection: _Connection) -> None:
    match fault.kind:
        case "status":
            error = {"detail": {"message": fault.message}} if fault.detail else _error(fault.message, fault.code)
            connection.send_json(error, fault.status, **{"Retry-After": "20"})
        case "stall":
            await asyncio.Event().wait()
        case "close":
            connection.close()
        case "malformed":
            connection.send_piece(b"data: {not json\n\n")
        case "error_event":
            connection.send_piece(b"data: %b\n\n" % json.dumps(_error(fault.message, fault.code)).encode())
        case "end":
            pass


async def _at(begun: float, after_s: float) -> None:
    await asyncio.sleep(max(0.0, begun + after_s - asyncio.get_running_loop().time()))


async def _transcript_events(text: str) -> AsyncIterator[bytes]:
    for word in re.findall(r"\S+\s*", text):
        yield _event({"type": "transcript.text.delta", "delta": word})
    yield _event({"type": "transcript.text.done", "text": text})
    yield b"data: [DONE]\n\n"


def _tool_call_deltas(calls: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The name first, then the arguments in two halves, as models write them."""
    deltas: list[dict[str, Any]] = []
    for index, (name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": ""}
        deltas.append({"index": index, "id": f"call_{name}_{index}", "type": "function", "function": function})
        half = len(arguments) // 2
        deltas += [{"index": index, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:])]
    return deltas


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({"id": "chat", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]})


def _event(value: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()


def _error(message: str, code: str | int) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "code": code, "param": None}}


def _seconds(ms: str) -> float:
    return float(ms) / 1000


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--reply", default=Manner.reply)
    parser.add_argument("--echo", action="store_true", help="reply with the caller's last words")
    parser.add_argument("--transcript", dest="transcripts", action="append", help="heard in turn, if several")
    parser.add_argument("--key", help="refuse every other")
    for name in ("first-token", "transcription", "first-speech"):
        parser.add_argument(f"--{name}-ms", dest=f"{name.replace('-', '_')}_s", type=_seconds, default=0.0)
    parser.add_argument("--tokens-per-s", type=float, default=0, help="0: all at once")
    parser.add_argument("--speech-speed", type=float, default=0, help="times real time; 0: all at once")
    arguments = parser.parse_args()
    manner = {name: value for name, value in vars(arguments).items() if name != "port" and value is not None}
    server = OpenAiServer(Manner(**manner))
    await server.start(arguments.port)
    print(f"listening on {server.base_url}", flush=True)
    await server.run()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
