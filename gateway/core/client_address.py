"""Who a connection belongs to: the caller's address, also behind a proxy, and the block that it is counted in."""

import ipaddress
from collections.abc import Sequence

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_IPV6_SITE_BITS = 64
"""One customer has at least a /64 to choose addresses from (RFC 6177)."""


class TrustedProxies:
    """The proxies whose `X-Forwarded-For` is believed."""

    def __init__(self, networks: Sequence[IpNetwork]) -> None:
        self._networks = networks

    def __contains__(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def caller(self, proxy: str, forwarded_for: str) -> str:
        """The caller that `proxy` speaks for: the last address in `X-Forwarded-For` that is not a trusted proxy.

        What is left of it was written by the caller, who may write anything.
        """
        caller = proxy
        for entry in reversed(forwarded_for.split(",")):
            address = _without_port(entry.strip())
            if _parsed(address) is None:
                break
            caller = address
            if address not in self:
                break
        return caller


def address_block(address: str) -> str:
    """What limits per address count: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
    return str(parsed or address)


def is_loopback(address: str) -> bool:
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def _parsed(address: str) -> IpAddress | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    # A socket for both versions shows IPv4 peers as ::ffff:192.0.2.1.
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _without_port(entry: str) -> str:
    """Some proxies add the port: `192.0.2.1:443`, `[2001:db8::1]:443`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    host, _, _ = entry.partition(":")
    return host if entry.count(":") == 1 else entry
