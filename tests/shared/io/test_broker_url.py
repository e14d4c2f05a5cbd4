import pytest
from redis.asyncio import Connection, SSLConnection

from shared.io.broker_url import BrokerUrl, parse_broker_url, without_secrets


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("redis://h:1/2", BrokerUrl("server", [], "", Connection, {"host": "h", "port": 1, "db": 2})),
        (
            "redis+sentinel://a:1,b/main/3",
            BrokerUrl("sentinel", [("a", 1), ("b", 26_379)], "main", Connection, {"db": 3}),
        ),
        (
            "rediss+sentinel://me:a%40b@[::1]:5/main?ssl_ca_certs=/ca.pem",
            BrokerUrl(
                "sentinel",
                [("::1", 5)],
                "main",
                SSLConnection,
                {"username": "me", "password": "a@b", "ssl_ca_certs": "/ca.pem"},
            ),
        ),
        ("redis+cluster://a,b:2", BrokerUrl("cluster", [("a", 6_379), ("b", 2)], "", Connection, {})),
        ("rediss+cluster://:x@a/", BrokerUrl("cluster", [("a", 6_379)], "", SSLConnection, {"password": "x"})),
    ],
)
def test_urls(url: str, parsed: BrokerUrl) -> None:
    assert parse_broker_url(url) == parsed


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+mirror://a", r"no such scheme: redis\+mirror"),
        ("redis+sentinel://a:1", "the name of the service is missing"),
        ("redis+cluster://a:1/2", "a cluster has no databases"),
        ("redis+cluster://a:1,,b", "the address of a node is missing"),
        ("redis+cluster://a:port", "port"),
        ("unix+cluster://a", r"no such scheme: unix\+cluster"),
    ],
)
def test_errors_name_the_problem(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_broker_url(url)


def test_secrets_are_left_out_of_messages() -> None:
    assert without_secrets("rediss://me:secret@h:1/0?password=secret") == "rediss://h:1/0"
