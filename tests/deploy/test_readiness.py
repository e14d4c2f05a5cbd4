import asyncio

import httpx

from deploy.readiness import Expected, missing, wait_until_ready
from shared.io.broker import Redis
from shared.io.heartbeat import Heartbeat
from shared.io.probes import serve_probes
from shared.worker_report import WorkerReport
from tests.fakes.ports import free_port


async def test_it_waits_for_gateway_media_and_pipeline_workers(broker: Redis) -> None:
    port = free_port()
    expected = Expected(f"http://127.0.0.1:{port}", media_workers=1, pipeline_workers=1)
    async with httpx.AsyncClient(base_url=expected.gateway_url) as gateway:
        assert await missing(broker, gateway, expected) == ["gateway", "media worker", "pipeline worker"]
        await Heartbeat(broker, lambda: WorkerReport(worker_id="m", kind="media")).announce()
        starting = WorkerReport(worker_id="p", kind="pipeline", state="starting")
        await Heartbeat(broker, lambda: starting).announce()
        assert await missing(broker, gateway, expected) == ["gateway", "pipeline worker"]
        await Heartbeat(broker, lambda: starting.model_copy(update={"state": "serving"})).announce()
        assert await missing(broker, gateway, expected) == ["gateway"]
    serving = asyncio.create_task(serve_probes("127.0.0.1", port, lambda: None))
    async with asyncio.timeout(30):
        await wait_until_ready(broker, expected, lambda _: None)
    serving.cancel()
    await asyncio.wait({serving})


async def test_a_gateway_that_is_not_ready_or_speaks_no_http_is_missing(broker: Redis) -> None:
    answers = [b"SSH-2.0-hello there\r\n", b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answers.pop())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url) as gateway:
        for _ in range(2):
            assert await missing(broker, gateway, Expected(url, media_workers=0, pipeline_workers=0)) == ["gateway"]
    assert answers == []
    server.close()
    await server.wait_closed()
