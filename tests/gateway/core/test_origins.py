import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.origins import OriginPolicy, is_local_request, normal_origin

LOOPBACK = OriginPolicy([], loopback_only=True)
PUBLIC = OriginPolicy([], loopback_only=False)
SHOP = OriginPolicy(["https://shop.example"], loopback_only=True)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("antiphon.localhost", "http://antiphon.localhost"),
        ("LOCALHOST:8080", "http://localhost:8080"),
        ("127.0.0.1:8080", None),  # not a browser
        (None, None),  # HTTP/1.0
    ],
)
def test_its_own_page_may_use_a_loopback_server(host: str | None, origin: str | None) -> None:
    assert LOOPBACK.refusal(host, origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:9090",
        "http://127.0.0.1",
        "http://localhost:8080",  # another name, another origin
        "null",
        "",
        "file://",
        "http://127.0.0.1:8080.evil.example",
        "http://[",
        "http://127.0.0.1:port",
    ],
)
def test_another_websites_page_may_not(origin: str) -> None:
    assert LOOPBACK.refusal("127.0.0.1:8080", origin) == "origin_not_allowed"


def test_a_name_that_was_rebound_to_a_loopback_server_is_refused() -> None:
    assert LOOPBACK.refusal("evil.example:8080", "http://evil.example:8080") == "host_not_allowed"
    assert LOOPBACK.refusal("evil.example:8080", None) == "host_not_allowed"
    assert LOOPBACK.refusal("127.0.0.1.evil.example", None) == "host_not_allowed"
    assert LOOPBACK.refusal("192.168.1.7:8080", None) == "host_not_allowed"
    assert LOOPBACK.refusal("evil-localhost", "http://evil-localhost") == "host_not_allowed"


def test_a_public_server_does_not_know_its_names() -> None:
    assert PUBLIC.refusal("voice.example", "https://voice.example") is None
    assert PUBLIC.refusal("192.168.1.7:8080", "http://192.168.1.7:8080") is None
    assert PUBLIC.refusal("voice.example", "https://elsewhere.example") == "origin_not_allowed"


def test_a_default_port_may_be_written_or_not() -> None:
    assert PUBLIC.refusal("voice.example:443", "https://voice.example") is None
    assert PUBLIC.refusal("voice.example", "http://voice.example:80") is None
    assert PUBLIC.refusal("voice.example:8443", "https://voice.example") == "origin_not_allowed"


def test_an_allowed_origin_must_match_exactly() -> None:
    assert SHOP.refusal("127.0.0.1:8080", "https://shop.example") is None
    assert SHOP.refusal("127.0.0.1:8080", "https://shop.example:443") is None
    for other in (
        "http://shop.example",
        "https://shop.example:8443",
        "https://a.shop.example",
        "https://shop.example.org",
    ):
        assert SHOP.refusal("127.0.0.1:8080", other) == "origin_not_allowed"


def test_the_name_of_an_allowed_origin_may_be_this_servers_behind_a_proxy() -> None:
    assert SHOP.refusal("shop.example", "https://shop.example") is None
    assert SHOP.refusal("evil.example", "https://shop.example") == "host_not_allowed"


def test_everyone() -> None:
    policy = OriginPolicy(["*"], loopback_only=True)
    assert policy.refusal("evil.example", "https://evil.example") is None
    assert policy.refusal("127.0.0.1", "null") is None


@given(st.text(), st.text())
def test_strangers_may_write_anything(host: str, origin: str) -> None:
    assert LOOPBACK.refusal(host, origin) in {None, "host_not_allowed", "origin_not_allowed"}
    normal = normal_origin(origin)
    assert normal_origin(normal) == normal


@pytest.mark.parametrize(
    ("client", "headers", "expected"),
    [
        ("127.0.0.1", {"host": "localhost:8080"}, True),
        ("::1", {"host": "[::1]:8080", "origin": "http://[::1]:8080", "sec-fetch-site": "same-origin"}, True),
        ("127.0.0.1", {"host": "127.0.0.1", "sec-fetch-site": "none"}, True),  # typed into the address bar
        ("127.0.0.1", {}, False),
        ("192.0.2.1", {"host": "localhost"}, False),
        ("127.0.0.1", {"host": "voice.example"}, False),  # a proxy, or DNS rebinding
        ("127.0.0.1", {"host": "localhost", "origin": "http://localhost:3000"}, False),
        ("127.0.0.1", {"host": "localhost", "origin": "null"}, False),
        ("127.0.0.1", {"host": "localhost", "sec-fetch-site": "cross-site"}, False),
        ("127.0.0.1", {"host": "localhost", "sec-fetch-site": "same-site"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": ""}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-host": "localhost"}, False),
        ("127.0.0.1", {"host": "localhost", "x-real-ip": "127.0.0.1"}, False),
        ("127.0.0.1", {"host": "localhost", "via": "1.1 proxy"}, False),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=127.0.0.1"}, False),
    ],
)
def test_who_needs_no_key_to_administer(client: str, headers: dict[str, str], expected: bool) -> None:
    assert is_local_request(client, headers) is expected
