import asyncio
import socket

from deploy.readiness import Expected, http_status, missing, wait_until_ready
from shared.io.broker import Redis
from shared.io.heartbeat import Heartbeat
from shared.io.probes import serve_probes
from shared.worker_report import WorkerReport


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_it_waits_for_gateway_media_and_pipeline_workers(broker: Redis) -> None:
    port = free_port()
    expected = Expected("127.0.0.1", port, media_workers=1, pipeline_workers=1)
    assert await missing(broker, expected) == ["gateway", "media worker", "pipeline worker"]
    await Heartbeat(broker, lambda: WorkerReport(worker_id="m", kind="media")).announce()
    starting = WorkerReport(worker_id="p", kind="pipeline", state="starting")
    await Heartbeat(broker, lambda: starting).announce()
    assert await missing(broker, expected) == ["gateway", "pipeline worker"]
    await Heartbeat(broker, lambda: starting.model_copy(update={"state": "serving"})).announce()
    assert await missing(broker, expected) == ["gateway"]
    gateway = asyncio.create_task(serve_probes("127.0.0.1", port, lambda: None))
    async with asyncio.timeout(30):
        await wait_until_ready(broker, expected, lambda _: None)
    gateway.cancel()
    await asyncio.wait({gateway})


async def test_nobody_there_has_no_status() -> None:
    assert await http_status("127.0.0.1", free_port(), "/readyz") is None


async def test_what_speaks_no_http_has_no_status() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-hello there\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await http_status("127.0.0.1", port, "/readyz") is None
    server.close()
    await server.wait_closed()
