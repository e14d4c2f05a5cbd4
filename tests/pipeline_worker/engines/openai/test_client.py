import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from pipeline_worker.engines.network.account import VendorAccount
from pipeline_worker.engines.network.http import File
from pipeline_worker.engines.openai.client import OpenAiClient, share
from shared.errors import EngineError
from tests.fakes.openai_server import Fault, OpenAiServer, running_openai_server


@pytest.fixture
async def client(server: OpenAiServer) -> AsyncIterator[OpenAiClient]:
    client = share(VendorAccount("acme", server.base_url, "secret-key"))
    yield client
    await client.close()


async def ask(client: OpenAiClient, timeout_s: float = 5.0) -> str:
    form: dict[str, str | File] = {"model": "m", "file": ("a.wav", b"x", "audio/wav")}
    async with client.http.post(
        "/audio/transcriptions", form=form, headers={"X-Team": "desk"}, silence_s=timeout_s
    ) as answer:
        return str((await answer.json())["text"])


async def failure(client: OpenAiClient, timeout_s: float = 5.0) -> EngineError:
    with pytest.raises(EngineError) as raised:
        await ask(client, timeout_s)
    assert "secret-key" not in str(raised.value)
    return raised.value


async def test_a_server_and_a_key_have_one_client_until_the_last_user_is_gone(server: OpenAiServer) -> None:
    account = VendorAccount("acme", server.base_url, "secret-key")
    one, other = share(account), share(VendorAccount("acme", server.base_url, "secret-key"))
    assert one is other
    keyless = share(VendorAccount("acme", server.base_url, ""))
    assert keyless is not one
    await one.close()
    assert await ask(other) == "hello"
    await other.close()
    await server.until(lambda: not server.transports)
    renewed = share(account)
    assert renewed is not one
    await renewed.close()
    await keyless.close()
    assert "secret" not in repr(account)


async def test_a_request_carries_the_key_and_headers_over_the_connection_that_was_warmed(
    server: OpenAiServer, client: OpenAiClient
) -> None:
    await client.warm_up({})
    await client.warm_up({})
    await ask(client)
    assert [request.path for request in server.requests] == ["/v1/models", "/v1/audio/transcriptions"]
    assert server.requests[1].headers["authorization"] == "Bearer secret-key"
    assert server.requests[1].headers["x-team"] == "desk"
    assert server.connections == 1


async def test_without_a_key_none_is_sent(server: OpenAiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for another server")
    client = share(VendorAccount("acme", server.base_url, ""))
    await client.warm_up({})
    await ask(client)
    assert ["authorization" in request.headers for request in server.requests] == [False, False]
    await client.close()


async def test_a_connection_that_died_in_the_pool_is_not_noticed(server: OpenAiServer, client: OpenAiClient) -> None:
    await client.warm_up({})
    server.drop_connections()
    assert await ask(client) == "hello"
    server.faults.append(Fault("close"))
    assert await ask(client) == "hello"


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        (Fault("status", status=401, message="bad key sec...ey"), "engine_key_refused", r"refuses the key"),
        (Fault("status", status=403), "engine_key_refused", r"refuses the key"),
        (Fault("status", status=429, message="Slow down"), "engine_busy", r"takes no more .*: Slow down"),
        (Fault("status", status=400, message="no model m"), "engine_refused", r"refuses the request .*: no model m"),
        (Fault("status", status=422, message="secret-key?"), "engine_refused", r"\*\*\*\?"),
        (Fault("status", status=404, message="no model m", detail=True), "engine_refused", r": no model m$"),
        (Fault("status", status=500), "engine_unavailable", r"out of order"),
        (Fault("status", status=503, message="<html>"), "engine_unavailable", r"\(status 503, server_error\)$"),
    ],
)
async def test_a_refusal_is_an_error_in_words_at_once(
    server: OpenAiServer, client: OpenAiClient, fault: Fault, code: str, told: str
) -> None:
    server.faults.append(fault)
    error = await failure(client)
    assert error.code == code
    assert re.search(told, str(error))
    assert len(server.requests) == 1


async def test_a_silent_server_times_out(server: OpenAiServer, client: OpenAiClient) -> None:
    server.faults.append(Fault("stall"))
    assert (await failure(client, timeout_s=0.05)).code == "engine_timeout"
    await server.until(lambda: server.disconnects == 1)


async def test_an_answer_of_another_shape_is_broken(client: OpenAiClient) -> None:
    with pytest.raises(EngineError, match="cannot be understood: AttributeError") as raised, client.shape_explained():
        _ = client.account.no_such_thing  # type: ignore[attr-defined]
    assert raised.value.code == "engine_broken"


async def test_warming_up_reports_a_refused_key_and_an_unreachable_server() -> None:
    async with running_openai_server(key="another") as server:
        client = share(VendorAccount("acme", server.base_url, "secret-key"))
        with pytest.raises(EngineError, match="refuses the key") as raised:
            await client.warm_up({})
        assert raised.value.code == "engine_key_refused"
        keyless = share(VendorAccount("acme", server.base_url, ""))
        with pytest.raises(EngineError, match=r"wants a key: name the environment variable .* in api_key_env"):
            await keyless.warm_up({})
        await keyless.close()
    with pytest.raises(EngineError) as raised:
        await client.warm_up({})
    assert raised.value.code == "engine_unavailable"
    await client.close()


async def test_a_server_without_a_list_of_models_may_serve_all_the_same(server: OpenAiServer) -> None:
    client = share(VendorAccount("acme", server.base_url + "/elsewhere", ""))
    await client.warm_up({})
    assert server.requests[0].path == "/v1/elsewhere/models"
    await client.close()


async def test_a_key_that_may_not_list_models_may_serve_all_the_same(
    server: OpenAiServer, client: OpenAiClient
) -> None:
    server.models_fault = Fault("status", status=403, message="Missing scopes: api.model.read")
    await client.warm_up({})


async def test_a_server_that_fails_at_start_is_an_error(server: OpenAiServer, client: OpenAiClient) -> None:
    server.models_fault = Fault("status", status=503)
    with pytest.raises(EngineError, match="out of order"):
        await client.warm_up({})


async def test_cancelling_while_waiting_ends_the_request(server: OpenAiServer, client: OpenAiClient) -> None:
    server.faults.append(Fault("stall"))
    asking = asyncio.create_task(ask(client))
    await server.until(lambda: server.active == 1)
    asking.cancel()
    await server.until(lambda: server.disconnects == 1 and server.active == 0)
    assert await ask(client) == "hello"
