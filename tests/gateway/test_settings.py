import ipaddress

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


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_GATEWAY_ORIGINS", "https://shop.example, http://localhost:3000")
    monkeypatch.setenv("ANTIPHON_GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8,2001:db8::1")
    settings = GatewaySettings.load()
    assert settings.gateway_origins == ["https://shop.example", "http://localhost:3000"]
    assert settings.gateway_trusted_proxies == [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::1")]


@pytest.mark.parametrize(
    "value", ["shop.example", "https://shop.example/", "https://Shop.example", "https://*.example"]
)
def test_an_origin_that_would_match_no_page_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ANTIPHON_GATEWAY_ORIGINS", value)
    with pytest.raises(ConfigError, match=r"ANTIPHON_GATEWAY_ORIGINS: .*is no origin"):
        GatewaySettings.load()


def test_a_proxy_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_GATEWAY_TRUSTED_PROXIES", "proxy.example")
    with pytest.raises(ConfigError, match="ANTIPHON_GATEWAY_TRUSTED_PROXIES"):
        GatewaySettings.load()
