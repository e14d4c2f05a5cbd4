import pytest

from gateway.settings import GatewaySettings, IceServer
from shared.errors import ConfigError


def test_ice_servers_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = '[{"urls": ["turn:192.0.2.1"], "username": "u", "credential": "c"}, {"urls": "stun:192.0.2.1"}]'
    monkeypatch.setenv("ANTIPHON_GATEWAY_ICE_SERVERS", turn)
    assert GatewaySettings.load().gateway_ice_servers == [
        IceServer(urls=["turn:192.0.2.1"], username="u", credential="c"),
        IceServer(urls="stun:192.0.2.1"),
    ]


@pytest.mark.parametrize("value", ["stun:192.0.2.1", "[", '[{"url": "stun:192.0.2.1"}]', "{}"])
def test_bad_ice_servers_are_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ANTIPHON_GATEWAY_ICE_SERVERS", value)
    with pytest.raises(ConfigError, match="ANTIPHON_GATEWAY_ICE_SERVERS"):
        GatewaySettings.load()


def test_a_mistyped_setting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_GATEWAY_PROT", "8081")
    with pytest.raises(ConfigError, match="ANTIPHON_GATEWAY_PROT"):
        GatewaySettings.load()
