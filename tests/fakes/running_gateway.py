"""A gateway in this process, real HTTP server on a free port and real broker, and a client to talk to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from gateway.__main__ import serve
from gateway.http_server import listen
from gateway.settings import GatewaySettings
from shared.worker_report import WorkerReport
from tests.fakes.media_worker import FakeMediaWorker, present_worker


class RunningGateway:
    """`stop` begins its drain; `ended` is the task that runs it."""

    def __init__(self, url: str, stop: asyncio.Event, ended: asyncio.Task[None]) -> None:
        self.url = url
        self.stop = stop
        self.ended = ended

    @asynccontextmanager
    async def client(self, origin: str | None = None, **headers: str) -> AsyncIterator["SignalingClient"]:
        """`origin`: of the page, if the client is a browser. `headers`: more, such as `x_forwarded_for`."""
        url = self.url.replace("http://", "ws://") + "signaling"
        page = None if origin is None else Origin(origin)
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        async with connect(url, origin=page, additional_headers=more, max_size=None) as websocket:
            yield SignalingClient(websocket)


class SignalingClient:
    """Says and hears JSON."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.resume_token = ""

    async def say(self, **message: Any) -> None:
        await self.websocket.send(json.dumps(message))

    async def offer(self, sdp: str = "v=0", agent_id: str = "echo") -> None:
        await self.say(type="offer", sdp=sdp, agentId=agent_id)

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            message = json.loads(await self.websocket.recv())
        assert isinstance(message, dict)
        return message

    async def answer(self) -> tuple[str, str]:
        """The session's name and the answer's SDP."""
        session, answer = await self.hear(), await self.hear()
        assert (session["type"], answer["type"]) == ("session", "answer"), (session, answer)
        self.resume_token = session["resumeToken"]
        return session["sessionId"], answer["sdp"]

    async def closed(self) -> tuple[int | None, str | None]:
        """Code and reason of the server's close."""
        async with asyncio.timeout(5):
            await self.websocket.wait_closed()
        return self.websocket.close_code, self.websocket.close_reason


@asynccontextmanager
async def running_gateway(settings: GatewaySettings) -> AsyncIterator[RunningGateway]:
    """Listens before it runs, so only the first client's handshake waits."""
    listener = listen("127.0.0.1", 0)
    host, port = listener.getsockname()
    stop = asyncio.Event()
    ended = asyncio.create_task(serve(settings, stop, listener))
    try:
        yield RunningGateway(f"http://{host}:{port}/", stop, ended)
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await ended


@asynccontextmanager
async def gateway_with_workers(
    settings: GatewaySettings, capacity: int = 10, slots: int = 10
) -> AsyncIterator[tuple[RunningGateway, FakeMediaWorker]]:
    """A gateway, one media worker, and a pipeline worker with `slots` slots."""
    pool = WorkerReport(worker_id="p1", kind="pipeline", capacity=slots, pool="default")
    async with (
        FakeMediaWorker(settings.redis_url, capacity=capacity).running() as worker,
        present_worker(settings.redis_url, pool),
        running_gateway(settings) as gateway,
    ):
        yield gateway, worker
