import asyncio
from collections.abc import AsyncIterator

import pytest

from pipeline_worker.engines.network import http as vendor_http
from pipeline_worker.engines.network.account import VendorAccount
from pipeline_worker.engines.network.http import VendorHttp
from shared.errors import EngineError
from tests.fakes.deepgram_server import DeepgramSpeakServer, running_speak_server
from tests.fakes.vendor_server import KEY

QUERY = {"model": "aura-2-thalia-en", "encoding": "linear16", "sample_rate": "24000", "container": "none"}


@pytest.fixture
async def server() -> AsyncIterator[DeepgramSpeakServer]:
    async with running_speak_server() as server:
        yield server


def client(server: DeepgramSpeakServer) -> VendorHttp:
    return VendorHttp(VendorAccount("Acme", server.base_url, KEY), {"Authorization": f"Token {KEY}"})


async def received(http: VendorHttp) -> int:
    async with http.post("/v1/speak", query=QUERY, json={"text": "One two."}) as response:
        return sum([len(part) async for part in response.content.iter_any()])


async def test_a_silent_answer_times_out(server: DeepgramSpeakServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor_http, "_SILENCE_TIMEOUT_S", 0.1)
    http = client(server)
    server.fault = "stall"
    with pytest.raises(EngineError) as caught:
        await received(http)
    assert caught.value.code == "engine_timeout"
    await http.close()


async def test_connections_are_bounded(server: DeepgramSpeakServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor_http, "_MOST_CONNECTIONS", 1)
    http = client(server)
    server.fault, server.faults_left = "stall", 1
    stalled = asyncio.create_task(received(http))
    await server.until(lambda: len(server.spoken) == 1)
    with pytest.raises(EngineError) as caught:
        await received(http)
    assert caught.value.code == "engine_busy"
    stalled.cancel()
    await asyncio.wait([stalled])
    assert await received(http) == 2 * 2 * 2_400
    await http.close()


async def test_close_is_idempotent(server: DeepgramSpeakServer) -> None:
    http = client(server)
    await http.get("/v1/auth/token")
    await http.close()
    await http.close()
