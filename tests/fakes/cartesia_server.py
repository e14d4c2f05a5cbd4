"""A server of Cartesia's speech over a WebSocket on 127.0.0.1: contexts, audio, word times, cancelling."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.fakes.vendor_server import KEY, SAMPLE_RATE, WORD_SAMPLES, VendorServer, speech

VOICE = "a0e99841-438c-4a64-b679-ae501e7d6091"
_VERSION = "2026-03-01"
_FIELDS = {
    "model_id",
    "transcript",
    "voice",
    "language",
    "context_id",
    "output_format",
    "add_timestamps",
    "continue",
    "generation_config",
}
_FORMAT = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE}


class CartesiaServer(VendorServer):
    def __init__(self) -> None:
        super().__init__()
        self.requests: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.times_last = False
        """Send word times after all audio, not before it."""
        self._sockets: set[ServerConnection] = set()
        self._contexts: dict[str, asyncio.Task[None]] = {}

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if url.path != "/tts/websocket":
            return connection.respond(404, "no such path")
        if request.headers.get("X-API-Key") != KEY:
            return connection.respond(401, "bad key")
        if self.status is not None:
            return connection.respond(self.status, "some reason")
        if parse_qs(url.query).get("cartesia_version") != [_VERSION]:
            return connection.respond(400, "no version")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        self._sockets.add(connection)
        self.changed()
        try:
            async for data in connection:
                message = json.loads(data)
                context = message.get("context_id")
                if message.get("cancel") is True and set(message) == {"context_id", "cancel"}:
                    self.cancelled.append(context)
                    if task := self._contexts.pop(context, None):
                        task.cancel()
                    self.changed()
                elif problem := _problem(message):
                    self.complaints.append(problem)
                    await connection.close(1008, problem)
                else:
                    self.requests.append(message)
                    self.spoken.append(message["transcript"])
                    self._contexts[context] = asyncio.create_task(self._speak(connection, message))
                    self.changed()
        except ConnectionClosed:
            pass
        finally:
            self._sockets.discard(connection)
            for task in self._contexts.values():
                task.cancel()
            self.changed()

    async def drop_connections(self) -> None:
        """As the vendor does with connections that were idle for five minutes."""
        for connection in list(self._sockets):
            await connection.close(1000)

    @property
    def open_connections(self) -> int:
        return len(self._sockets)

    async def _speak(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        context = message["context_id"]
        fault = self.next_fault()
        samples, words = speech(message["transcript"])

        async def tell(kind: str, **fields: object) -> None:
            await connection.send(
                json.dumps({"type": kind, "done": kind == "done", "status_code": 206, "context_id": context, **fields})
            )

        async def tell_times(index: int) -> None:
            times = {"start": [index * WORD_SAMPLES / SAMPLE_RATE], "end": [words[index].end_sample / SAMPLE_RATE]}
            await tell("timestamps", word_timestamps={"words": [words[index].text], **times})

        with contextlib.suppress(ConnectionClosed):
            if fault == "stall":
                return None
            if fault == "close":
                return await connection.close(1011)
            if fault == "error":
                said = {"title": "Too many", "message": "Concurrency limit", "error_code": "concurrency_limited"}
                return await tell("error", status_code=429, **said)
            if fault != "silence":
                for index in range(len(words)):
                    if index == 1 and fault == "malformed":
                        await connection.send(self.nonsense)
                    if index == 1 and fault == "stall_midway":
                        return None
                    if index == 1 and fault == "close_midway":
                        return await connection.close(1011)
                    if not self.times_last:
                        await tell_times(index)
                    part = samples[index * WORD_SAMPLES : (index + 1) * WORD_SAMPLES]
                    await tell("chunk", data=base64.b64encode(part.astype("<i2").tobytes()).decode(), step_time=1.0)
                for index in range(len(words) if self.times_last else 0):
                    await tell_times(index)
            await tell("done")
        return None


def _problem(message: dict[str, Any]) -> str | None:
    if not set(message) <= _FIELDS or not message.get("context_id") or not message.get("transcript"):
        return f"fields {sorted(message)}"
    if message["voice"] != {"mode": "id", "id": VOICE} or message["output_format"] != _FORMAT:
        return f"voice or format {message}"
    if message.get("continue") is not False or message.get("add_timestamps") is not True:
        return "a context that never ends, or no times"
    return None


@contextlib.asynccontextmanager
async def running_cartesia_server() -> AsyncIterator[CartesiaServer]:
    server = CartesiaServer()
    async with serve(server.serve, "127.0.0.1", 0, process_request=server.admit, close_timeout=1) as listener:
        server.base_url = "http://{}:{}".format(*next(iter(listener.sockets)).getsockname())
        yield server
    assert server.complaints == []
