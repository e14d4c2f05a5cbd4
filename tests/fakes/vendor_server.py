"""The base of vendors' loopback servers: HTTP with streamed answers, speech to send, and faults."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import numpy as np

from pipeline_worker.engines.protocols import Word
from shared.audio import Pcm

SAMPLE_RATE = 24_000
WORD_SAMPLES = 2_400
KEY = "the-right-key"

Fault = Literal["stall", "stall_midway", "close", "close_midway", "malformed", "silence", "error"]


class VendorServer:
    """What a test sees and sets. `complaints` are breaches of the protocol: a test that ends with one has failed."""

    def __init__(self) -> None:
        self.base_url = ""
        self.status: int | None = None
        """Refuse all requests with it."""
        self.fault: Fault | None = None
        self.faults_left: int | None = None
        """How often `fault` shows; None: always."""
        self.nonsense = '{"broken":'
        """Sent in mid-answer when the fault is `malformed`."""
        self.complaints: list[str] = []
        self.connections = 0
        self.stopped = 0
        """Answers that the client stopped."""
        self.spoken: list[str] = []
        self._changed = asyncio.Event()

    def next_fault(self) -> Fault | None:
        if self.faults_left == 0:
            return None
        if self.faults_left is not None and self.fault is not None:
            self.faults_left -= 1
        return self.fault

    def changed(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def speech(text: str) -> tuple[Pcm, list[Word]]:
    """The speech of `text`: a tenth of a second for each word, of samples that all differ from their neighbours."""
    words = text.split()
    samples = (np.arange(len(words) * WORD_SAMPLES) % 20_000).astype(np.int16)
    return samples, [Word(word, (index + 1) * WORD_SAMPLES) for index, word in enumerate(words)]


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self._head(status, "Content-Type: application/json", f"Content-Length: {len(body)}")
        self._writer.write(body)
        await self._writer.drain()

    def begin(self, content_type: str) -> None:
        self._head(200, f"Content-Type: {content_type}", "Transfer-Encoding: chunked")

    async def piece(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def cut(self) -> None:
        self._writer.close()

    def _head(self, status: int, *lines: str) -> None:
        self._writer.write("\r\n".join([f"HTTP/1.1 {status} Loopback", *lines, "", ""]).encode())


class HttpVendorServer(VendorServer):
    """Connections stay open between requests."""

    def __init__(self) -> None:
        super().__init__()
        self._writers: set[asyncio.StreamWriter] = set()

    async def drop_connections(self) -> None:
        """As a server does with connections that were idle for a while."""
        for writer in self._writers:
            writer.close()

    async def respond(self, request: Request, answer: Answer) -> None:
        raise NotImplementedError

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while (request := await _read_request(reader)) and not writer.is_closing():
                answering = asyncio.create_task(self.respond(request, Answer(writer)))
                gone = asyncio.create_task(reader.read(1))
                await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
                if not answering.done():
                    self.stopped += 1
                for task in (answering, gone):
                    task.cancel()
                await asyncio.wait([answering, gone])
                if not answering.cancelled() and (error := answering.exception()) and not _is_gone(error):
                    self.complaints.append(repr(error))
                self.changed()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@contextlib.asynccontextmanager
async def running_http(server: HttpVendorServer) -> AsyncIterator[None]:
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(server.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.base_url = "http://{}:{}".format(*listener.sockets[0].getsockname())
    try:
        yield
    finally:
        listener.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)


def _is_gone(error: BaseException) -> bool:
    return isinstance(error, ConnectionError)


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    return Request(method, url.path, parse_qs(url.query), headers, body)
