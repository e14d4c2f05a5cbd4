import asyncio
import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from aioice import stun, turn

from gateway.ice_servers import IceServers, turn_credentials
from gateway.settings import GatewaySettings, IceServer
from shared.errors import ConfigError
from tests.browser.turn_server import turn_server

STUN = IceServer(urls="stun:192.0.2.1")
PAID = IceServer(urls="turn:192.0.2.2", username="u", credential="c")


def test_turn_credentials_are_what_coturn_computes() -> None:
    username, credential = turn_credentials("north", "s1", 1_800_000_000)
    assert username == "1800000000:s1"
    assert base64.b64decode(credential) == hmac.new(b"north", username.encode(), hashlib.sha1).digest()


def test_each_client_gets_turn_credentials_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "turn-secret"
    secret.write_text("north\n")
    settings = GatewaySettings(
        gateway_ice_servers=[STUN, PAID],
        gateway_turn_urls="turn:192.0.2.3, turns:192.0.2.3?transport=tcp",
        gateway_turn_secret_file=secret,
        gateway_turn_ttl_s=600,
    )
    servers = IceServers(settings, lambda: 1000.5)
    *configured, relay = servers.of_client("s1")
    assert configured == [STUN.model_dump(exclude_none=True), PAID.model_dump(exclude_none=True)]
    username, credential = turn_credentials("north", "s1", 1600)
    urls = ["turn:192.0.2.3", "turns:192.0.2.3?transport=tcp"]
    assert relay == {"urls": urls, "username": username, "credential": credential}
    assert servers.of_client("s2")[-1]["username"] == "1600:s2"
    secret.write_text("south\n")
    assert servers.of_client("s1")[-1]["credential"] == turn_credentials("south", "s1", 1600)[1]


@pytest.mark.parametrize("update", [{"gateway_turn_urls": "turn:a"}, {"gateway_turn_secret_file": Path("secret")}])
def test_half_a_turn_server_is_an_error(update: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="set both or neither"):
        IceServers(GatewaySettings().model_copy(update=update))


async def test_coturn_relays_for_clients_with_our_credentials_and_for_no_others() -> None:
    async def allocate(server: dict[str, Any]) -> bool:
        """Whether the server gives a relayed address to this client."""
        try:
            transport, _ = await turn.create_turn_endpoint(
                asyncio.DatagramProtocol,
                server_addr=("127.0.0.1", coturn.port),
                username=server["username"],
                password=server["credential"],
            )
        except stun.TransactionFailed:
            return False
        relayed = transport.get_extra_info("sockname")
        transport.close()
        return bool(relayed)

    with turn_server() as coturn:
        settings = GatewaySettings(gateway_turn_urls=coturn.url(), gateway_turn_secret_file=coturn.secret_file)
        (good,) = IceServers(settings).of_client("s1")
        (expired,) = IceServers(settings, lambda: 1_000_000).of_client("s1")
        assert [await allocate(server) for server in (good, expired, good | {"credential": "guess"})] == [
            True,
            False,
            False,
        ]


def test_clients_cannot_be_sent_to_a_relay_that_is_not_named() -> None:
    with pytest.raises(ConfigError, match="needs ANTIPHON_GATEWAY_TURN_URLS"):
        IceServers(GatewaySettings(gateway_ice_transport_policy="relay"))
