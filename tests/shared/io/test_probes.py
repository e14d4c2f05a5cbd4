import asyncio
import socket

import httpx
import pytest
from prometheus_client import Counter

from shared.errors import ConfigError
from shared.io.probes import probe_app, serve_probes

seen = Counter("antiphon_test_probes_seen_total", "Proof that our metrics are served")


def client(reason: str | None) -> httpx.AsyncClient:
    app = probe_app(lambda: reason)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://probes")


async def test_a_ready_process_reports_ready() -> None:
    async with client(None) as probes:
        answer = await probes.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_a_process_that_is_not_ready_says_why_and_is_alive() -> None:
    async with client("draining") as probes:
        answer = await probes.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "reason": "draining"})
        assert (await probes.get("/healthz")).status_code == 200


async def test_metrics_are_prometheus_text() -> None:
    seen.inc()
    async with client(None) as probes:
        answer = await probes.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "antiphon_test_probes_seen_total 1.0" in answer.text


async def test_probes_are_served_until_cancelled_and_free_the_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serving = asyncio.create_task(serve_probes("127.0.0.1", port, lambda: None))
    async with httpx.AsyncClient() as browser, asyncio.timeout(30):
        answer = None
        while answer is None:
            try:
                answer = await browser.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.ConnectError:
                await asyncio.sleep(0.01)
    assert answer.status_code == 200
    serving.cancel()
    await asyncio.wait({serving})
    socket.create_server(("127.0.0.1", port)).close()


async def test_the_error_for_a_port_in_use_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} .*: set ANTIPHON_PROBE_PORT"):
            await serve_probes("127.0.0.1", port, lambda: None)
