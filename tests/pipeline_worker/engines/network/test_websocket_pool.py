import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from pipeline_worker.engines.network import websocket_pool
from pipeline_worker.engines.network.websocket_pool import WebSocketPool
from shared.errors import EngineError
from tests.fakes.cartesia_server import CartesiaServer, running_cartesia_server
from tests.fakes.vendor_server import KEY


@pytest.fixture
async def server() -> AsyncIterator[CartesiaServer]:
    async with running_cartesia_server() as server:
        yield server


@pytest.fixture
async def pool(server: CartesiaServer) -> AsyncIterator[WebSocketPool]:
    url = f"ws{server.base_url.removeprefix('http')}/tts/websocket?cartesia_version=2026-03-01"
    pool = WebSocketPool("Acme", url, {"X-API-Key": KEY})
    yield pool
    await pool.close()


async def test_a_returned_connection_is_reused(server: CartesiaServer, pool: WebSocketPool) -> None:
    connection = await pool.take()
    pool.give_back(connection)
    assert await pool.take() is connection
    assert server.connections == 1


async def test_a_connection_that_is_being_warmed_goes_to_the_next_caller(
    server: CartesiaServer, pool: WebSocketPool
) -> None:
    pool.warm()
    pool.warm()
    await pool.take()
    assert server.connections == 1


async def test_after_a_rush_a_few_connections_stay_open(
    server: CartesiaServer, pool: WebSocketPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_pool, "_KEEP_ALIVE_S", 0.01)
    connections = [await pool.take() for _ in range(6)]
    for connection in connections:
        pool.give_back(connection)
    assert pool.idle == 6
    monkeypatch.setattr(websocket_pool, "_IDLE_S", 0.0)
    await server.until(lambda: server.open_connections == 4)
    assert pool.idle == 4
    assert await pool.take() is connections[-1]


async def test_connections_are_bounded(
    server: CartesiaServer, pool: WebSocketPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_pool, "_MOST_OPEN", 2)
    first, second = await pool.take(), await pool.take()
    with pytest.raises(EngineError) as caught:
        await pool.take()
    assert caught.value.code == "engine_busy"
    pool.give_back(first)
    pool.discard(second)
    await server.until(lambda: server.open_connections == 1)
    assert await pool.take() is first


async def test_a_discarded_connection_is_closed_after_the_farewell(server: CartesiaServer, pool: WebSocketPool) -> None:
    connection = await pool.take()
    pool.discard(connection, '{"context_id": "1", "cancel": true}')
    await server.until(lambda: server.cancelled == ["1"] and server.connections == 2)
    with pytest.raises(ConnectionClosed):
        await connection.recv()
    assert await pool.take() is not connection


async def test_a_connection_that_died_while_idle_is_forgotten(
    server: CartesiaServer, pool: WebSocketPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_pool, "_KEEP_ALIVE_S", 0.01)
    await pool.try_out()
    await server.drop_connections()
    async with asyncio.timeout(10):
        while pool.idle:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


class StuckConnection:
    """Its peer no longer reads."""

    state = State.OPEN

    def __init__(self) -> None:
        self.aborted = asyncio.Event()
        self.transport = self

    async def send(self, message: str) -> None:
        await asyncio.Event().wait()

    def abort(self) -> None:
        self.aborted.set()

    async def close(self) -> None: ...


async def test_a_stuck_peer_does_not_stop_the_keep_alives_of_others(
    server: CartesiaServer, pool: WebSocketPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_pool, "_KEEP_ALIVE_S", 0.01)
    monkeypatch.setattr(pool, "_keep_alive", '{"context_id": "idle", "cancel": true}')
    monkeypatch.setattr(websocket_pool, "_KEEP_ALIVE_TIMEOUT_S", 0.1)
    stuck: Any = StuckConnection()
    connection = await pool.take()
    pool.give_back(stuck)
    pool.give_back(connection)
    await server.until(lambda: bool(server.cancelled))
    await stuck.aborted.wait()


async def test_close_ends_idle_and_busy_connections(server: CartesiaServer, pool: WebSocketPool) -> None:
    used = await pool.take()
    await pool.try_out()
    await pool.close()
    await pool.close()
    await server.until(lambda: server.open_connections == 0)
    with pytest.raises(ConnectionClosed):
        await used.recv()
    pool.discard(used)
    pool.warm()
    with pytest.raises(EngineError):
        await pool.take()


async def test_the_key_is_not_in_the_log(
    server: CartesiaServer, pool: WebSocketPool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="websockets.server")  # the fake's own would show it
    await pool.try_out()
    assert KEY not in caplog.text
