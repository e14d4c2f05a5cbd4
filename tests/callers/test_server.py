from pathlib import Path

import pytest

from callers.server import Server, read_api_key
from callers.signaling import NotConnected, Signaling
from gateway.core.api_keys import new_api_key
from gateway.settings import GatewaySettings, IceServer
from shared.errors import ConfigError
from shared.io.broker import Redis
from tests.fakes.ports import free_port
from tests.fakes.running_gateway import gateway_with_workers, running_gateway


@pytest.mark.parametrize(
    ("url", "signaling"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/signaling"),
        ("https://voice.example/desk/", "wss://voice.example/desk/signaling"),
    ],
)
def test_signaling_is_beside_the_page(url: str, signaling: str) -> None:
    assert Server(url).signaling_url == signaling


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host", "http://", ""])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="write http://host:8080"):
        Server(url)


async def test_scenarios_could_not_call_a_server_that_requires_tokens(
    broker: Redis, broker_url: str, tmp_path: Path
) -> None:
    (tmp_path / "echo.yaml").write_text("id: echo\nname: Echo\nmode: echo\n")
    api_key, line = new_api_key("eval", "calls")
    (tmp_path / "api-keys").write_text(f"{line} tokens_per_minute=2\n")
    (tmp_path / "key").write_text(f"{api_key}\n")
    settings = GatewaySettings(
        redis_url=broker_url,
        agents_dir=tmp_path,
        drain_timeout_s=0.2,
        gateway_access="token",
        gateway_api_keys_file=tmp_path / "api-keys",
    )
    async with gateway_with_workers(settings) as (gateway, _):
        server = Server(gateway.url, read_api_key(tmp_path / "key"))
        signaling = Signaling(server.signaling_url, "echo", lambda _: None, make_token=lambda: server.token("echo"))
        assert await signaling.exchange("v=0") == "answer to v=0"
        await signaling.close()
        with pytest.raises(NotConnected, match="no agent 'nobody'"):
            await server.token("nobody")
        await server.token("echo")
        with pytest.raises(NotConnected) as refused:
            await server.token("echo")
        assert refused.value.code == "too_many_tokens"
        assert 0 < (refused.value.retry_after_ms or 0) <= 60_000
        with pytest.raises(NotConnected, match="the API key is not known"):
            await Server(gateway.url, "wrong").token("echo")
        with pytest.raises(NotConnected, match="a token is required") as anonymous:
            await Server(gateway.url).relays(None)
        assert anonymous.value.code == "token_required"


async def test_a_server_that_is_not_there_makes_no_tokens() -> None:
    with pytest.raises(NotConnected, match="no Antiphon at"):
        await Server(f"http://127.0.0.1:{free_port()}", "key").token("echo")


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff", None])
def test_a_file_without_a_key(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="write the API key into it"):
        read_api_key(file)


def test_a_key_of_two_words_is_refused() -> None:
    with pytest.raises(ConfigError, match="not one word of ASCII"):
        Server("http://localhost", "two words")


async def test_turn_servers_are_told_to_callers_who_may_call(broker_url: str, tmp_path: Path) -> None:
    (tmp_path / "turn-secret").write_text("secret")
    settings = GatewaySettings(
        redis_url=broker_url,
        drain_timeout_s=0.2,
        gateway_access="open",
        gateway_ice_servers=(IceServer(urls="stun:stun.example:3478"),),
        gateway_turn_urls="turn:turn.example:3478,turns:turn.example:5349",
        gateway_turn_secret_file=tmp_path / "turn-secret",
    )
    async with running_gateway(settings) as gateway:
        (relay,) = await Server(gateway.url).relays(None)
    assert relay.urls == ("turn:turn.example:3478", "turns:turn.example:5349")
    assert relay.username
    assert relay.credential
    with pytest.raises(NotConnected, match="no Antiphon at"):
        await Server(f"http://127.0.0.1:{free_port()}").relays(None)
