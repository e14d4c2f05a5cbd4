import ipaddress

import pytest

from gateway.core.client_address import TrustedProxies, address_block, is_loopback

PROXIES = TrustedProxies([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:ffff::1")])


@pytest.mark.parametrize(
    ("forwarded_for", "caller"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7", "203.0.113.7"),  # the caller wrote 1.2.3.4
        ("1.2.3.4, 203.0.113.7, 10.9.9.9", "203.0.113.7"),  # through two proxies
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("203.0.113.7, not an address, 10.9.9.9", "10.9.9.9"),
    ],
)
def test_the_caller_behind_a_proxy(forwarded_for: str, caller: str) -> None:
    assert PROXIES.caller("10.0.0.1", forwarded_for) == caller


def test_only_trusted_proxies_are_proxies() -> None:
    assert "10.1.2.3" in PROXIES
    assert "::ffff:10.1.2.3" in PROXIES
    assert "2001:db8:ffff::1" in PROXIES
    assert "11.0.0.1" not in PROXIES
    assert "" not in PROXIES


def test_an_ipv6_customer_counts_as_one_whichever_address_they_choose() -> None:
    assert address_block("2001:db8:1:2:3:4:5:6") == address_block("2001:db8:1:2:ffff::1")
    assert address_block("2001:db8:1:2::1") != address_block("2001:db8:1:3::1")


def test_ipv4_addresses_count_one_by_one() -> None:
    assert address_block("192.0.2.1") != address_block("192.0.2.2")
    assert address_block("::ffff:192.0.2.1") == address_block("192.0.2.1")


def test_loopback() -> None:
    assert is_loopback("127.0.0.2") and is_loopback("::1") and is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("192.0.2.1") and not is_loopback("")
