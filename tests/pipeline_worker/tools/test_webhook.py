import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.tools.outcome import ToolContext, ToolFailure
from pipeline_worker.tools.webhook import MAX_ANSWER_BYTES, WebhookTool, new_client, request_url
from shared.agent_tools import Tool, Webhook
from shared.errors import ConfigError
from tests.fakes.ports import free_port
from tests.fakes.webhook_server import WebhookServer, answer

CONTEXT = ToolContext("session-1", "desk", "call-1")


@pytest.fixture
async def server() -> AsyncIterator[WebhookServer]:
    async with WebhookServer().running() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with new_client() as client:
        yield client


def definition(url: str, *required: str, **webhook: Any) -> Tool:
    parameters = {"type": "object", "properties": {name: {} for name in required}, "required": list(required)}
    fields = {"name": "find", "description": "Finds.", "parameters": parameters, "webhook": {"url": url, **webhook}}
    return Tool.model_validate(fields)


async def run(
    client: httpx.AsyncClient, tool: Tool, environment: dict[str, str] | None = None, **arguments: Any
) -> str:
    async with asyncio.timeout(10):
        return (await WebhookTool(tool, client, environment or {}).run(arguments, CONTEXT)).result


async def failure(client: httpx.AsyncClient, tool: Tool, **arguments: Any) -> str:
    with pytest.raises(ToolFailure) as raised:
        await run(client, tool, **arguments)
    return str(raised.value)


async def test_arguments_are_the_json_body(server: WebhookServer, client: httpx.AsyncClient) -> None:
    server.answers = [answer('{"booked": true}', kind="application/json")]
    assert await run(client, definition(f"{server.url}/book"), people=2, name="Ünal") == '{"booked": true}'
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/book")
    assert request.headers["content-type"] == "application/json"
    assert request.body.decode() == '{"people":2,"name":"Ünal"}'
    assert (request.headers["antiphon-session"], request.headers["antiphon-agent"]) == ("session-1", "desk")


async def test_arguments_fill_the_url_and_the_rest_is_the_query(
    server: WebhookServer, client: httpx.AsyncClient
) -> None:
    tool = definition(f"{server.url}/by/{{phone}}?lang={{lang}}", "phone", "lang", method="GET")
    arguments: dict[str, Any] = {
        "phone": "+49 30/1",
        "lang": "a&b=c",
        "full": True,
        "tags": ["x", "y"],
        "none": None,
        "o": {"a": 1},
    }
    await run(client, tool, **arguments)
    (request,) = server.requests
    query = "lang=a%26b%3Dc&full=true&tags=x&tags=y&o=%7B%22a%22%3A+1%7D"
    assert (request.method, request.target, request.body) == ("GET", f"/by/%2B49%2030%2F1?{query}", b"")


async def test_arguments_in_the_url_are_not_in_the_body(server: WebhookServer, client: httpx.AsyncClient) -> None:
    await run(client, definition(f"{server.url}/{{id}}", "id", method="PUT"), id=7, name="x")
    assert (server.requests[0].target, server.requests[0].body) == ("/7", b'{"name":"x"}')


@pytest.mark.parametrize("value", ["", ".", "..", ["a"], {"a": 1}], ids=str)
async def test_arguments_that_would_change_the_path_are_not_sent(
    server: WebhookServer, client: httpx.AsyncClient, value: object
) -> None:
    tool = definition(f"{server.url}/bookings/{{id}}/cancel", "id", method="DELETE")
    assert await failure(client, tool, id=value)
    assert server.requests == []


async def test_two_halves_of_a_step_up_are_not_sent(server: WebhookServer, client: httpx.AsyncClient) -> None:
    assert await failure(client, definition(f"{server.url}/a/{{b}}{{c}}/d", "b", "c"), b=".", c=".")
    assert server.requests == []


@given(st.text(min_size=1), st.text())
def test_no_words_of_a_model_change_host_path_or_parameters(step: str, value: str) -> None:
    webhook = Webhook(method="GET", url="http://api.example.com:8080/v1/{step}/end?q={value}&fixed=1")
    try:
        text = request_url(webhook, {"step": step, "value": value, "more": value})
    except ToolFailure:
        assert step in (".", "..")
        return
    url = httpx.Request("GET", text).url
    assert (url.scheme, url.host, url.port, url.userinfo, url.fragment) == ("http", "api.example.com", 8080, b"", "")
    assert url.raw_path.count(b"/") == 3
    assert dict(url.params) == {"q": value, "fixed": "1", "more": value}


async def test_the_secret_comes_from_the_environment(server: WebhookServer, client: httpx.AsyncClient) -> None:
    await run(client, definition(server.url, secret_env="KEY"), {"KEY": "s3cret\n"})
    await run(client, definition(server.url, secret_env="KEY", secret_header="X-Api-Key"), {"KEY": "s3cret"})
    assert server.requests[0].headers["authorization"] == "Bearer s3cret"
    assert server.requests[1].headers["x-api-key"] == "s3cret"


@pytest.mark.parametrize("environment", [{}, {"KEY": " "}, {"KEY": "a\r\nHost: b"}, {"KEY": "schlüssel"}], ids=str)
async def test_a_missing_secret_prevents_the_start(client: httpx.AsyncClient, environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"webhook\.secret_env: KEY is not .*: set it to the service's key") as raised:
        WebhookTool(definition("http://x.example/", secret_env="KEY"), client, environment)
    assert "schlüssel" not in raised.value.message


async def test_a_redirect_is_not_followed(server: WebhookServer, client: httpx.AsyncClient) -> None:
    server.answers = [answer(status="302 Found", Location="/elsewhere")]
    assert "redirect (302)" in await failure(client, definition(server.url))
    assert len(server.requests) == 1


async def test_no_cookie_of_one_caller_reaches_the_next(server: WebhookServer, client: httpx.AsyncClient) -> None:
    server.answers = [answer("ok", Set_Cookie="caller=1; Path=/")]
    for _ in range(2):
        await run(client, definition(server.url))
    assert "cookie" not in server.requests[1].headers


async def test_an_error_has_the_services_message(server: WebhookServer, client: httpx.AsyncClient) -> None:
    server.answers = [answer("no table at 7" + "!" * 5000, status="409 Conflict")]
    told = await failure(client, definition(server.url))
    assert "the error 409: no table at 7!" in told
    assert len(told) < 1000


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "broke off"),
        (b"220 smtp.example.com ESMTP\r\n", "broke off"),
        (b"\x00\xff\x16\x03", "broke off"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000 + b"\r\n\r\n", "broke off"),
    ],
    ids=["nothing", "cut", "bad chunk", "another protocol", "bytes", "endless header"],
)
async def test_an_invalid_answer_is_an_error(
    server: WebhookServer, client: httpx.AsyncClient, sent: bytes, told: str
) -> None:
    server.answers = [sent]
    assert told in await failure(client, definition(server.url))


async def test_an_unreachable_service_is_an_error(client: httpx.AsyncClient) -> None:
    assert "cannot be reached" in await failure(client, definition(f"http://127.0.0.1:{free_port()}/"))


async def test_an_endless_answer_is_cut(server: WebhookServer, client: httpx.AsyncClient) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"]
    server.endless = b"x" * 10_000
    assert await run(client, definition(server.url)) == "x" * MAX_ANSWER_BYTES


async def test_a_compressed_answer_is_bounded_after_decompression(
    server: WebhookServer, client: httpx.AsyncClient
) -> None:
    server.answers = [answer(gzip.compress(b"x" * 10_000_000), Content_Encoding="gzip")]
    assert "not text" in await run(client, definition(server.url))
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("sent", "result"),
    [
        (answer(b"\x89PNG", kind="image/png"), "(an answer that is not text, but image/png)"),
        (answer(b"caf\xe9"), "caf\N{REPLACEMENT CHARACTER}"),
        (answer("", status="204 No Content"), "done"),
        (answer("{}", kind="application/problem+json; charset=utf-8"), "{}"),
    ],
    ids=["image", "not UTF-8", "empty", "JSON"],
)
async def test_any_answer_is_some_text(
    server: WebhookServer, client: httpx.AsyncClient, sent: bytes, result: str
) -> None:
    server.answers = [sent]
    assert await run(client, definition(server.url)) == result


async def test_a_service_that_closes_each_connection_is_asked_again(
    server: WebhookServer, client: httpx.AsyncClient
) -> None:
    for _ in range(3):
        assert await run(client, definition(server.url)) == "ok"
