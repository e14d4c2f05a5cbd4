import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.access import Access
from gateway.access_api import access_routes
from gateway.api_requests import answer_error
from gateway.core.api_keys import new_api_key
from gateway.ice_servers import IceServers
from gateway.settings import GatewaySettings, IceServer
from gateway.token_store import TokenStore
from shared.errors import AntiphonError
from shared.io.broker import Redis

FOR_ECHO = {"agentId": "echo"}
STUN = {"urls": "stun:192.0.2.1"}


class Api:
    """The routes, and an API key for them."""

    def __init__(self, folder: Path, broker: Redis, **settings: Any) -> None:
        self.key, line = new_api_key("website", "calls")
        self.admin_key, admin_line = new_api_key("console", "admin")
        (folder / "api-keys").write_text(f"{line} tokens_per_minute=2\n{admin_line}\n")
        (folder / "turn-secret").write_text("north")
        chosen = GatewaySettings(
            gateway_api_keys_file=folder / "api-keys",
            gateway_ice_servers=[IceServer(urls="stun:192.0.2.1")],
            gateway_turn_urls="turn:192.0.2.3",
            gateway_turn_secret_file=folder / "turn-secret",
            **settings,
        )
        routes = access_routes(Access(chosen, ["echo"], TokenStore(broker)), IceServers(chosen))
        app = Starlette(routes=routes, exception_handlers={AntiphonError: answer_error})
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test")

    async def make(self, body: object = FOR_ECHO, key: str | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body)
        return await self.http.post("/tokens", content=content, headers=bearer(key or self.key))

    async def token(self) -> str:
        return str((await self.make()).json()["token"])


def bearer(credentials: str, scheme: str = "Bearer") -> Mapping[str, str]:
    return {"authorization": f"{scheme} {credentials}"}


def answer(response: httpx.Response) -> tuple[int, str]:
    assert response.json()["message"]
    return response.status_code, response.json()["code"]


@pytest.fixture
async def api(tmp_path: Path, broker: Redis) -> AsyncIterator[Api]:
    api = Api(tmp_path, broker, gateway_access="token")
    yield api
    await api.http.aclose()


@pytest.fixture
async def open_api(tmp_path: Path, broker: Redis) -> AsyncIterator[Api]:
    api = Api(tmp_path, broker)
    yield api
    await api.http.aclose()


async def test_an_api_key_makes_a_token(api: Api) -> None:
    response = await api.make({"agentId": "echo", "ttlS": 30})
    assert (response.status_code, response.json()["expiresInS"]) == (201, 30)
    assert response.json()["token"].count(".") == 2
    assert response.headers["cache-control"] == "no-store"


async def test_no_token_without_an_api_key_that_may_call(api: Api) -> None:
    response = await api.http.post("/tokens", json={"agentId": "echo"})
    assert (*answer(response), response.headers["www-authenticate"]) == (401, "api_key_required", "Bearer")
    assert answer(await api.make(key="guess")) == (401, "api_key_invalid")
    assert answer(await api.make(key=api.admin_key)) == (403, "scope_missing")
    basic = await api.http.post("/tokens", json={"agentId": "echo"}, headers=bearer(api.key, "Basic"))
    assert answer(basic) == (401, "api_key_required")


async def test_a_caller_s_token_is_no_api_key(api: Api) -> None:
    assert answer(await api.make(key=await api.token())) == (401, "api_key_invalid")


@pytest.mark.parametrize(
    ("body", "expected", "message"),
    [
        (b"{", (400, "bad_request"), "Invalid JSON"),
        (b"", (400, "bad_request"), "Invalid JSON"),
        (b"\xff", (400, "bad_request"), "Invalid JSON"),
        ([], (400, "bad_request"), "object"),
        ({}, (400, "bad_request"), "name either one"),
        ({"agentId": 5}, (400, "bad_request"), "agentId: input should be a valid string"),
        ({"agents": "some"}, (400, "bad_request"), "agents: "),
        ({"agentId": "echo", "ttl": 5}, (400, "bad_request"), "ttl: extra inputs are not permitted"),
        ({"agentId": "x"}, (400, "unknown_agent"), "no agent 'x'"),
        ({"agentId": "echo", "metadata": {"a": "b" * 9000}}, (413, "message_too_large"), "at most 4096 bytes"),
    ],
)
async def test_a_bad_request_names_the_problem(api: Api, body: object, expected: tuple[int, str], message: str) -> None:
    response = await api.make(body)
    assert answer(response) == expected
    assert message.lower() in response.json()["message"].lower()


async def test_too_many_tokens_a_minute(api: Api) -> None:
    for _ in range(2):
        assert (await api.make()).status_code == 201
    response = await api.make()
    assert answer(response) == (429, "too_many_tokens")
    assert 1 <= int(response.headers["retry-after"]) <= 60


async def test_turn_credentials_only_for_a_token(api: Api) -> None:
    assert answer(await api.http.get("/ice-servers")) == (401, "token_required")
    assert answer(await api.http.get("/ice-servers", headers=bearer("guess"))) == (401, "token_invalid")
    headers = bearer(await api.token())
    for _ in range(2):  # it is not used up
        stun, turn = (await api.http.get("/ice-servers", headers=headers)).json()["iceServers"]
        assert stun == STUN
        assert turn["credential"]
