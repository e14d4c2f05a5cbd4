"""What a gateway costs: set-ups, WebSockets that are held, and events on their way to a client.

The gateway has a core of its own. Clients, broker and a media worker that answers at once share the other. A set-up is
a WebSocket, an offer, its placement, the answer and a goodbye. What is held are sessions after their set-up.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import time
from collections.abc import AsyncIterator, Sequence

import psutil
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from shared.events import ClientEventSent, client_event
from shared.worker_report import WorkerReport
from tests.fakes.media_worker import FakeMediaWorker, present_worker
from tests.fakes.ports import free_port
from tests.integration.deployment import Service
from tests.load import stack
from tests.load.bench_report import BenchReport
from tests.load.steal import stolen_s
from tests.load.swarm import process_cpu_s

_MANY = "1000000"
_SDP = "v=0\r\n" + "a=an offer of Chromium has about this many lines of this length\r\n" * 40
_TOGETHER = 32
_WARM_UP_S, _SET_UPS_S = 3.0, 10.0
_IDLE_S = 40.0
"""uvicorn pings each WebSocket every 20 s."""
_ATTEMPTS, _RETRY_S = 10, 0.5
_EVENTS = 5
_BETWEEN_EVENTS_S = 2.0
_SPARE_FILES = 100
_SET_UPS_PER_CORE = 300.0
_HELD_PER_GB = 15_000.0
_GB = 1e9


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--held", type=int, default=3000, metavar="N", help="WebSockets")


def run(report: BenchReport, arguments: argparse.Namespace) -> None:
    uvloop.run(measure(report, arguments.held, _IDLE_S))


async def measure(report: BenchReport, held: int, idle_s: float) -> None:
    """`held` WebSockets, or as many as this process may open, watched for `idle_s` seconds."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = min(held, most - _SPARE_FILES)
    with stack.running_broker() as (url, broker_pid):
        media = FakeMediaWorker(url, capacity=int(_MANY))
        pipeline = WorkerReport(worker_id="pipeline-1", kind="pipeline", capacity=int(_MANY), pool="default")
        async with media.running(), present_worker(url, pipeline), _gateway(url) as (gateway, signaling_url):
            os.sched_setaffinity(0, {stack.LOAD_CORE})
            await _set_ups(signaling_url, _WARM_UP_S)
            await _report_set_ups(report, gateway, broker_pid, signaling_url)
            before_pss, idle_before = _pss(gateway), await _core_share(gateway, idle_s / 4)
            sockets = await _hold(signaling_url, held)
            try:
                await asyncio.sleep(_WARM_UP_S)
                await _report_held(report, gateway, len(sockets), before_pss, idle_before, idle_s)
                await _report_events(report, gateway, media, sockets)
            finally:
                await asyncio.gather(*(socket.close() for socket in sockets))


@contextlib.asynccontextmanager
async def _gateway(url: str) -> AsyncIterator[tuple[psutil.Process, str]]:
    port = free_port()
    settings = {
        "ANTIPHON_REDIS_URL": url,
        "ANTIPHON_GATEWAY_PORT": str(port),
        "ANTIPHON_GATEWAY_MAX_CONNECTIONS": _MANY,
        "ANTIPHON_GATEWAY_MAX_CONNECTIONS_PER_ADDRESS": _MANY,
        "ANTIPHON_DRAIN_TIMEOUT_S": "0",
    }
    os.sched_setaffinity(0, {stack.SERVER_CORE})  # the gateway inherits it
    service = Service("gateway", settings)
    try:
        async with asyncio.timeout(30):
            while not service.worker_id:  # noqa: ASYNC110 (another process has no event)
                await asyncio.sleep(0.1)
        yield psutil.Process(service.process.pid), f"ws://127.0.0.1:{port}/signaling"
    finally:
        await asyncio.to_thread(service.stop)


async def _report_set_ups(report: BenchReport, gateway: psutil.Process, broker_pid: int, url: str) -> None:
    cpu_s, broker_s, clients_s, steal_s = (
        process_cpu_s(gateway.pid),
        process_cpu_s(broker_pid),
        time.process_time(),
        stolen_s(),
    )
    began_s = time.monotonic()
    took_s, failed = await _set_ups(url, _SET_UPS_S)
    elapsed_s = time.monotonic() - began_s
    used_s = process_cpu_s(gateway.pid) - cpu_s
    each_ms = used_s / max(1, len(took_s)) * 1000
    clients_core = (time.process_time() - clients_s) / elapsed_s
    broker_core = (process_cpu_s(broker_pid) - broker_s) / elapsed_s
    took_s.sort()
    report.add(
        what="set-up",
        n=len(took_s),
        per_s=len(took_s) / elapsed_s,
        gateway_ms_each=each_ms,
        per_core_s=1000 / each_ms if each_ms else None,
        gateway_core=used_s / elapsed_s,
        clients_core=clients_core + broker_core,
        broker_ms_each=broker_core * elapsed_s / max(1, len(took_s)) * 1000,
        p95_ms=took_s[len(took_s) * 95 // 100] * 1000 if took_s else None,
        failed=failed,
        stolen_share=(stolen_s() - steal_s) / elapsed_s / (os.cpu_count() or 1),
    )
    report.bar("set-ups per second and core", 1000 / each_ms if each_ms else None, _SET_UPS_PER_CORE, "higher")
    report.bar("set-ups that failed", failed, 0, "lower")


async def _report_held(
    report: BenchReport, gateway: psutil.Process, held: int, before_pss: int, idle_before: float, idle_s: float
) -> None:
    each = (_pss(gateway) - before_pss) / held
    idle = await _core_share(gateway, idle_s)
    report.add(
        what="held",
        n=held,
        kb_each=each / 1000,
        per_gb=_GB / each,
        process_mb=before_pss / 1e6,
        gateway_core=idle,
        us_per_s_each=max(0.0, idle - idle_before) / held * 1e6,
    )
    report.add(what="none held", gateway_core=idle_before)
    report.bar("WebSockets held per GB", _GB / each, _HELD_PER_GB, "higher")


async def _report_events(
    report: BenchReport, gateway: psutil.Process, media: FakeMediaWorker, sockets: Sequence["_Held"]
) -> None:
    """Events that their media worker sends to all clients, one after the other over two seconds."""
    cpu_s = process_cpu_s(gateway.pid)
    for seq in range(2, 2 + _EVENTS):
        event = client_event(
            "transcript", seq, {"role": "agent", "text": "We have a soup of the day, and fresh pasta."}
        )
        began_s = time.monotonic()
        for index, socket in enumerate(sockets):
            media.tell_gateway(ClientEventSent(session=socket.session, event=event))
            await asyncio.sleep(max(0.0, began_s + index * _BETWEEN_EVENTS_S / len(sockets) - time.monotonic()))
    await asyncio.sleep(1.0)
    heard = sum(socket.events for socket in sockets)
    each_us = (process_cpu_s(gateway.pid) - cpu_s) / max(1, heard) * 1e6
    report.add(what="event to a client", n=heard, gateway_ms_each=each_us / 1000, per_core_s=1e6 / each_us)
    report.bar("events that clients did not get", len(sockets) * _EVENTS - heard, 0, "lower")


class _Held:
    """The WebSocket of a session, read all the time."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self.session = session
        self.events = 0
        self._socket = socket
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        self._reading.cancel()
        self._socket.transport.abort()

    async def _read(self) -> None:
        async for message in self._socket:
            self.events += '"transcript"' in str(message)


async def _set_ups(url: str, duration_s: float) -> tuple[list[float], int]:
    """How long each took; and how many failed."""
    took_s: list[float] = []
    failed = 0
    end_s = time.monotonic() + duration_s

    async def call() -> None:
        nonlocal failed
        while (began_s := time.monotonic()) < end_s:
            try:
                socket, _ = await _set_up(url)
                await socket.send('{"type": "bye"}')
                await socket.close()
            except (OSError, ConnectionError, KeyError):
                failed += 1
                await asyncio.sleep(0.1)
            else:
                took_s.append(time.monotonic() - began_s)

    await asyncio.gather(*(call() for _ in range(_TOGETHER)))
    return took_s, failed


async def _hold(url: str, count: int) -> list[_Held]:
    held: list[_Held] = []

    async def call() -> None:
        for attempt in range(_ATTEMPTS):
            try:
                held.append(_Held(*await _set_up(url)))
            except ConnectionError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                return

    for first in range(0, count, _TOGETHER):
        await asyncio.gather(*(call() for _ in range(first, min(first + _TOGETHER, count))))
    return held


async def _set_up(url: str) -> tuple[ClientConnection, str]:
    """Raises `ConnectionError` if there is no answer."""
    socket = await connect(url, compression=None, ping_interval=None, max_queue=None)
    await socket.send(json.dumps({"type": "offer", "sdp": _SDP, "agentId": "echo"}))
    session = ""
    while True:
        message = json.loads(await socket.recv())
        session = message.get("sessionId", session)
        if message["type"] == "answer":
            return socket, session
        if message["type"] == "error":
            socket.transport.abort()
            raise ConnectionError(message)


async def _core_share(process: psutil.Process, window_s: float) -> float:
    began_s, cpu_s = time.monotonic(), process_cpu_s(process.pid)
    await asyncio.sleep(window_s)
    return (process_cpu_s(process.pid) - cpu_s) / (time.monotonic() - began_s)


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)
