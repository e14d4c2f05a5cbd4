"""Which pages may call, and whom the limits per address count behind a proxy."""

import ipaddress
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from websockets.exceptions import InvalidStatus

from gateway.core.client_address import TrustedProxies
from gateway.core.connection_limits import ConnectionLimits
from gateway.core.origins import OriginPolicy
from gateway.guard import EntryRules, Guard
from gateway.settings import GatewaySettings
from shared.io.broker import Redis
from tests.fakes.running_gateway import RunningGateway, gateway_with_workers, running_gateway

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@pytest.fixture
def settings(broker: Redis, broker_url: str, tmp_path: Path) -> GatewaySettings:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    return GatewaySettings(redis_url=broker_url, agents_dir=tmp_path, drain_timeout_s=0.2)


async def test_any_website_could_open_a_call_on_a_developers_own_server(settings: GatewaySettings) -> None:
    shop = "https://shop.example"
    async with running_gateway(settings.model_copy(update={"gateway_origins": [shop]})) as gateway:
        for headers, code in (
            ({"Origin": "https://evil.example"}, "origin_not_allowed"),
            ({"Origin": "null"}, "origin_not_allowed"),
            ({"Origin": "http://evil.example:8080", "Host": "evil.example:8080"}, "host_not_allowed"),
        ):
            assert await refusal(gateway, headers) == (403, code)
        for origin in (gateway.url.rstrip("/"), shop, None):
            async with gateway.client(origin) as client:
                await client.say(type="bye")
                assert await client.closed() == (1000, "bye")


async def refusal(gateway: RunningGateway, headers: dict[str, str]) -> tuple[int, str]:
    """Status and code of a WebSocket handshake that is refused."""
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        response = await http.get("/signaling", headers={**HANDSHAKE, **headers})
    return response.status_code, response.json()["code"]


async def test_callers_behind_a_trusted_proxy_are_told_apart(settings: GatewaySettings) -> None:
    behind_proxy = GatewaySettings(
        **{
            **settings.model_dump(),
            "gateway_trusted_proxies": "127.0.0.1",
            "gateway_max_connections_per_address": 2,
            "gateway_max_sessions_per_minute": 1,
        }
    )
    async with running_gateway(behind_proxy) as gateway, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(gateway.client(x_forwarded_for="203.0.113.7"))
        with pytest.raises(InvalidStatus, match="429"):
            await stack.enter_async_context(gateway.client(x_forwarded_for="198.51.100.1, 203.0.113.7"))
        other = await stack.enter_async_context(gateway.client(x_forwarded_for="203.0.113.8"))
        await other.say(type="bye")


async def test_a_few_addresses_behind_a_proxy_took_all_slots(settings: GatewaySettings) -> None:
    behind_proxy = GatewaySettings(
        **{**settings.model_dump(), "gateway_trusted_proxies": "127.0.0.1", "gateway_max_connections": 5}
    )
    async with (
        gateway_with_workers(behind_proxy) as (gateway, _),
        gateway.client(x_forwarded_for="203.0.113.7") as caller,
        gateway.client(x_forwarded_for="203.0.113.8") as hostile,
        gateway.client(x_forwarded_for="203.0.113.8"),
    ):
        await caller.offer()
        await caller.answer()
        async with gateway.client(x_forwarded_for="203.0.113.8"), gateway.client(x_forwarded_for="203.0.113.9") as new:
            assert await hostile.closed() == (1013, "too_many_connections")
            await new.offer()
            await new.answer()
        await caller.say(type="bye")
        assert await caller.closed() == (1000, "bye")


async def test_an_address_that_opens_session_after_session(settings: GatewaySettings) -> None:
    strict = GatewaySettings(
        **{
            **settings.model_dump(),
            "gateway_trusted_proxies": "127.0.0.1",
            "gateway_max_sessions_per_minute": 2,
        }
    )
    async with gateway_with_workers(strict) as (gateway, _):
        for _ in range(2):
            async with gateway.client(x_forwarded_for="2001:db8::1") as client:
                await client.offer()
                await client.answer()
        async with gateway.client(x_forwarded_for="2001:db8::2") as client:
            await client.offer()
            error = await client.hear()
            assert error["code"] == "too_many_sessions"
            assert 25_000 <= error["retryAfterMs"] <= 30_001
            assert await client.closed() == (1013, "too_many_sessions")
        async with gateway.client(x_forwarded_for="2001:db8:0:1::1") as client:
            await client.offer()
            await client.answer()


class GuardedApp:
    """An application behind a guard whose proxy is 10.0.0.1, and whose callers have one slot each."""

    def __init__(self) -> None:
        self.callers: list[str] = []
        proxies = TrustedProxies([ipaddress.ip_network("10.0.0.1")])
        self.slots = ConnectionLimits(total=10, per_block=1)
        self._guard = Guard(self._app, EntryRules(OriginPolicy([], loopback_only=False), proxies, self.slots))
        self._statuses: list[int] = []
        self._inside: list[tuple[str, ...]] = []

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.callers.append(scope["client"][0])
        if self._inside:
            await self.request("10.0.0.1", *self._inside.pop())

    async def request(self, client: str, *forwarded_for: str, inside: tuple[str, ...] = ()) -> int:
        """The status with which it was refused; 0 if it was let in. `inside`: that of another caller meanwhile."""
        if inside:
            self._inside.append(inside)
        headers = [(b"x-forwarded-for", value.encode()) for value in forwarded_for]
        refused: list[int] = []

        async def send(message: Any) -> None:
            refused.append(message.get("status", 0))

        scope = {"type": "http", "path": "/", "method": "GET", "client": (client, 4711), "headers": headers}
        await self._guard(scope, _nothing, send)
        self._statuses.append(refused[0] if refused else 0)
        return self._statuses[-1]

    @property
    def statuses(self) -> list[int]:
        """In the order in which the requests ended."""
        return self._statuses


async def _nothing() -> Any:
    raise AssertionError("it reads no body")


async def test_a_caller_who_invents_a_proxy_is_counted_by_their_own_address() -> None:
    app = GuardedApp()
    assert await app.request("203.0.113.7", "198.51.100.1") == 0
    assert app.callers == ["203.0.113.7"]
    assert app.slots.open == 0


async def test_a_caller_behind_a_proxy_could_write_a_header_of_their_own_before_the_proxys() -> None:
    app = GuardedApp()
    await app.request("10.0.0.1", "198.51.100.1", "203.0.113.7")
    assert app.callers == ["203.0.113.7"]


async def test_a_caller_behind_a_proxy_who_leaves_makes_room_and_counts_with_their_network() -> None:
    app = GuardedApp()
    for _ in range(3):
        await app.request("10.0.0.1", "2001:db8::1", inside=("2001:db8::2",))
    await app.request("10.0.0.1", "2001:db8::1", inside=("2001:db8:0:1::1",))
    assert app.statuses == [429, 0] * 3 + [0, 0]
    assert app.slots.open == 0
