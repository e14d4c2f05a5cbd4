"""Clients that hold what they are given: each is cut off, and nobody else notices.

They come from 127.0.0.2, the good caller from 127.0.0.1.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client import REGISTRY

from gateway.core.rate_limits import MESSAGE_BURST, MESSAGES_PER_S
from gateway.http_server import HEADER_BYTES, UNACKNOWLEDGED_MS, listen
from gateway.settings import GatewaySettings
from shared.events import ClientEventSent, GatewayDetached, client_event
from shared.io.broker import Redis
from tests.fakes.counters import Gained
from tests.fakes.patience import eventually
from tests.fakes.running_gateway import RunningGateway, gateway_with_workers

HOSTILE = "127.0.0.2"
PER_ADDRESS = 20
REQUEST_TIMEOUT_S = 1.0
PATIENCE_S = 10.0
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UPGRADE = (
    b"GET /signaling HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.fixture
def settings(broker: Redis, broker_url: str, tmp_path: Path) -> GatewaySettings:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    return GatewaySettings(
        redis_url=broker_url,
        agents_dir=tmp_path,
        drain_timeout_s=0.2,
        gateway_max_connections=50,
        gateway_max_connections_per_address=PER_ADDRESS,
        gateway_request_timeout_s=REQUEST_TIMEOUT_S,
    )


@pytest.fixture
async def gateway(settings: GatewaySettings) -> AsyncIterator[RunningGateway]:
    async with gateway_with_workers(settings) as (running, _):
        await serves(running)
        yield running


class Connection:
    """Bytes, to and from the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def first_line(self) -> bytes:
        """Empty if the gateway did not wait for the request."""
        try:
            return await self.reader.readline()
        except ConnectionResetError:
            return b""

    async def rest(self) -> bytes:
        """All until the gateway closes the connection."""
        received = b""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while data := await self.reader.read(65_536):
                    received += data
            except ConnectionResetError:
                pass
        return received


@asynccontextmanager
async def connected(
    gateway: RunningGateway, number: int = 1, address: str = HOSTILE
) -> AsyncIterator[list[Connection]]:
    url = urlsplit(gateway.url)
    opened = [
        Connection(*await asyncio.open_connection(url.hostname, url.port, local_addr=(address, 0)))
        for _ in range(number)
    ]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.writer.transport.abort()


async def serves(gateway: RunningGateway) -> None:
    """The good caller gets the page and an answer."""
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        for path in ("/", "/healthz", "/readyz"):
            assert (await http.get(path)).status_code == 200
    async with gateway.client() as client:
        await client.offer()
        await client.answer()
        await client.say(type="bye")
        assert await client.closed() == (1000, "bye")


async def all_closed(connections: Sequence[Connection]) -> list[bytes]:
    return await asyncio.gather(*(connection.rest() for connection in connections))


async def test_silent_connections_made_the_gateway_answer_503_and_were_kept_for_ever(gateway: RunningGateway) -> None:
    expired, refused = (
        Gained("antiphon_gateway_expired_connections_total"),
        Gained("antiphon_gateway_refused_connections_total", limit="address"),
    )
    async with connected(gateway, 200) as silent:
        await serves(gateway)
        answers = await all_closed(silent)
        assert sum(b"503" in answer and b"retry-after: 5" in answer for answer in answers) == 200 - PER_ADDRESS
        assert answers.count(b"") == PER_ADDRESS
        assert (expired(), refused()) == (PER_ADDRESS, 200 - PER_ADDRESS)


async def test_websockets_were_not_counted(gateway: RunningGateway) -> None:
    async with AsyncExitStack() as stack:
        answers = []
        for _ in range(PER_ADDRESS + 10):
            [client] = await stack.enter_async_context(connected(gateway))
            client.send(UPGRADE + b"\r\n")
            answers.append(await client.first_line())
        assert answers.count(b"HTTP/1.1 101 Switching Protocols\r\n") == PER_ADDRESS
        await serves(gateway)
    await no_slot_is_held()


@pytest.mark.parametrize("opening", [b"", b"GET / HTTP/1.1\r\nHost: ", GET, UPGRADE + b"\r\n"])
async def test_a_few_addresses_took_all_slots(settings: GatewaySettings, opening: bytes) -> None:
    """Beside a caller with a session, who keeps their WebSocket, and a new one, who gets in."""
    evicted = Gained("antiphon_gateway_evicted_connections_total")
    patient = settings.model_copy(update={"gateway_request_timeout_s": 30.0})
    async with gateway_with_workers(patient) as (gateway, _), gateway.client() as caller, AsyncExitStack() as stack:
        await caller.offer()
        await caller.answer()
        for number in range(2, 6):
            for connection in await stack.enter_async_context(connected(gateway, 15, f"127.0.0.{number}")):
                connection.send(opening)
        await serves(gateway)
        assert evicted() > 60 - 50
        await caller.say(type="bye")
        assert await caller.closed() == (1000, "bye")
    await no_slot_is_held()


async def test_all_slots_are_of_callers_with_a_session(settings: GatewaySettings) -> None:
    small = settings.model_copy(update={"gateway_max_connections": 2})
    async with gateway_with_workers(small) as (gateway, _), gateway.client() as first, gateway.client() as second:
        for caller in (first, second):
            await caller.offer()
            await caller.answer()
        async with connected(gateway) as [third]:
            assert (await third.first_line()) == b"HTTP/1.1 503 Service Unavailable\r\n"
        await first.say(type="bye")
        assert await first.closed() == (1000, "bye")
        async with httpx.AsyncClient(base_url=gateway.url) as http:
            assert (await http.get("/")).status_code == 200


async def no_slot_is_held() -> None:
    await eventually(lambda: REGISTRY.get_sample_value("antiphon_gateway_connections") == 0, PATIENCE_S)


@pytest.mark.parametrize("piece", [b"X", b"X-Drip: 1\r\n"])
async def test_a_header_that_drips_in(gateway: RunningGateway, piece: bytes) -> None:
    async def drip(connection: Connection) -> None:
        connection.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        while True:
            connection.send(piece)
            await asyncio.sleep(0.1)

    async with connected(gateway) as [slow]:
        dripping = asyncio.create_task(drip(slow))
        assert await slow.rest() == b""
        dripping.cancel()
        await asyncio.wait({dripping})


async def test_a_body_that_drips_in_after_its_response(gateway: RunningGateway) -> None:
    async def drip(connection: Connection) -> None:
        connection.send(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.send(b"x")
            await asyncio.sleep(0.1)

    async with connected(gateway) as [slow]:
        dripping = asyncio.create_task(drip(slow))
        assert (await slow.rest()).startswith(b"HTTP/1.1 405")
        dripping.cancel()
        await asyncio.wait({dripping})


async def test_a_kept_connection_that_asks_for_nothing_more(gateway: RunningGateway) -> None:
    async with connected(gateway) as [idle]:
        idle.send(GET)
        answer = await idle.rest()
    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_kept_connection_that_goes_on_asking_is_served(gateway: RunningGateway) -> None:
    clock = asyncio.get_running_loop().time
    async with connected(gateway) as [busy]:
        ends_at = clock() + 1.5 * REQUEST_TIMEOUT_S
        while clock() < ends_at:
            busy.send(GET)
            assert (await busy.reader.readuntil(b'{"status":"ok"}')).startswith(b"HTTP/1.1 200")


async def test_a_websocket_handshake_that_never_ends(gateway: RunningGateway) -> None:
    async with connected(gateway) as [half]:
        half.send(UPGRADE)
        assert await half.rest() == b""
    await no_slot_is_held()


async def test_a_header_that_is_too_large(gateway: RunningGateway) -> None:
    async with connected(gateway) as [large]:
        large.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * HEADER_BYTES)
        assert (await large.rest()).startswith(b"HTTP/1.1 400")
    async with connected(gateway) as [small]:
        small.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * (HEADER_BYTES - 100) + b"\r\n\r\n")
        assert (await small.reader.read(15)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("headers", [b"X: 1\r\n" * 200, b"X: " + b"x" * 10_000 + b"\r\n"], ids=["many", "long"])
async def test_a_websocket_handshake_with_too_much_header_left_a_connection_behind(
    gateway: RunningGateway, headers: bytes
) -> None:
    async with connected(gateway, PER_ADDRESS) as clients:
        for client in clients:
            client.send(UPGRADE + headers + b"\r\n")
        assert all(answer.startswith(b"HTTP/1.1 400") for answer in await all_closed(clients))
    await no_slot_is_held()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS
        GET + b"\x00\xff" * 1000,
        GET * 50 + b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        UPGRADE.replace(b"13", b"1") + b"\r\n",
        UPGRADE.replace(b"dGhl", b"!!!!") + b"\r\n",
    ],
    ids=["tls", "binary", "pipelined", "two hosts", "old websocket", "bad key"],
)
async def test_garbage(gateway: RunningGateway, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with connected(gateway) as [garbled]:
        garbled.send(garbage)
        answer = await garbled.rest()
    assert b" 400 " in answer or b" 426 " in answer or b" 403 " in answer
    assert not [record for record in caplog.records if record.exc_info]
    await no_slot_is_held()


async def test_pipelined_requests_whose_responses_nobody_reads(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.http_connection._RESPONSE_S", 1.0)
    expired = Gained("antiphon_gateway_expired_connections_total")
    request = b"GET /page.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    url = urlsplit(gateway.url)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind((HOSTILE, 0))
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, (url.hostname, url.port))
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(deaf, request * 5000))
        await eventually(lambda: expired() == 1)
        sending.cancel()
        await asyncio.wait({sending})
    await serves(gateway)


async def test_a_peer_that_never_reopens_its_window_is_given_up_by_the_kernel() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNACKNOWLEDGED_MS


# WebSockets


async def test_one_socket_of_unknown_messages_took_a_gateway_core(gateway: RunningGateway) -> None:
    parsed, dropped = (
        Gained("antiphon_gateway_unknown_messages_total"),
        Gained("antiphon_gateway_dropped_messages_total"),
    )
    clock = asyncio.get_running_loop().time
    async with gateway.client() as client:
        started_at = clock()
        client.websocket.transport.write(TEXT * 1000)
        assert (await client.hear())["code"] == "too_many_messages"
        assert await client.closed() == (1008, "too_many_messages")
        allowed = MESSAGE_BURST + MESSAGES_PER_S * (clock() - started_at) + 1
    assert MESSAGE_BURST <= parsed() <= allowed
    assert dropped() <= allowed


async def test_a_flood_that_goes_on_after_the_close_is_cut_off(gateway: RunningGateway) -> None:
    flooding = Gained("antiphon_gateway_flooding_connections_total")
    async with connected(gateway) as [client]:
        client.send(UPGRADE + b"\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        client.send(TEXT * 100_000)
        assert b"too_many_messages" in await client.rest()
    assert flooding() == 1
    await no_slot_is_held()
    await serves(gateway)


async def test_a_flood_costs_a_session_its_websocket(settings: GatewaySettings) -> None:
    async with gateway_with_workers(settings) as (gateway, worker), gateway.client() as client:
        await client.offer()
        session, _ = await client.answer()
        for _ in range(300):
            await client.websocket.send('{"type":"new"}')
        assert (await worker.wait_for(GatewayDetached)).session == session


TEXT = b"\x81\x8e\0\0\0\0" + b'{"type":"new"}'
PING = b"\x89\x84\0\0\0\0ping"
PONG = b"\x8a\x84\0\0\0\0pong"
START, MORE = b"\x01\x81\0\0\0\0[", b"\x00\x80\0\0\0\0"


@pytest.mark.parametrize("frames", [PING * 300, PONG * 300, START + MORE * 300], ids=["pings", "pongs", "fragments"])
async def test_a_flood_of_frames_that_are_no_messages(gateway: RunningGateway, frames: bytes) -> None:
    flooding = Gained("antiphon_gateway_flooding_connections_total")
    async with connected(gateway) as [client]:
        client.send(UPGRADE + b"\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        client.send(frames)
        await client.rest()
    assert flooding() == 1
    await no_slot_is_held()


async def test_a_websocket_that_never_reads_is_thrown_out(
    settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.http_connection._LINGER_S", 0.5)
    hasty = settings.model_copy(update={"gateway_send_timeout_s": 0.5})
    async with gateway_with_workers(hasty) as (gateway, worker), gateway.client() as client:
        await client.offer()
        session, _ = await client.answer()
        client.websocket.transport.pause_reading()
        for number in range(100):
            event = client_event("transcript", number, {"role": "agent", "text": "x" * 100_000})
            worker.tell_gateway(ClientEventSent(session=session, event=event))
        assert (await worker.wait_for(GatewayDetached)).session == session
        await no_slot_is_held()
        client.websocket.transport.abort()  # it would wait for the close frame
