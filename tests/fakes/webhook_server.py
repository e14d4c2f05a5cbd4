"""A webhook on loopback that sends the bytes that a test gives it, valid or not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def answer(body: str | bytes = "", status: str = "200 OK", kind: str = "text/plain", **headers: str) -> bytes:
    """A well-formed answer; `headers` with underscores for dashes."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


class WebhookServer:
    """Each request gets the next of `answers`, then the last again. `endless` is then sent until the client leaves."""

    def __init__(self) -> None:
        self.answers = [answer("ok")]
        self.endless = b""
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()
        self.requests: list[Request] = []
        self.url = ""
        self.sent_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["WebhookServer"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append(Request(method, target, headers, body))
            self.asked.set()
            await self.may_answer.wait()
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            while self.endless:
                writer.write(self.endless)
                self.sent_bytes += len(self.endless)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client went away.
        finally:
            writer.close()
