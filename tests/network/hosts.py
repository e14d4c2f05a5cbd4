"""A caller, a server, and a router or a bad link between them.

Addresses are those for documentation (RFC 5737, RFC 3849). The server's public ones are on its loopback interface, so
that services that use them outlive the links of a test.
"""

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from tests.network.namespace import Namespace

SERVER, SERVER_6 = "192.0.2.2", "2001:db8::2"
TURN = "192.0.2.3"
"""Another address of the server."""


class _Plan(NamedTuple):
    """Addresses with their prefixes: of the caller and the router, of the router and the server."""

    caller: str
    inside: str
    outside: str
    server: str


_IPV4 = _Plan("198.51.100.2/24", "198.51.100.1/24", "203.0.113.1/24", "203.0.113.2/24")
_IPV6 = _Plan("2001:db8:1::2/64", "2001:db8:1::1/64", "2001:db8:2::1/64", "2001:db8:2::2/64")
_MOVED = "203.0.113.9/24"


def server_host() -> Namespace:
    host = Namespace()
    host.run(*(f"ip address add {address} dev lo" for address in (SERVER, SERVER_6, TURN)))
    return host


class Router:
    """Between `inside` (the caller) and `outside` (the server)."""

    def __init__(self) -> None:
        self.host = Namespace()
        self.host.set("ipv4/ip_forward", 1)
        self.host.set("ipv6/conf/all/forwarding", 1)
        self.host.run(
            "nft add table inet router",
            "nft add chain inet router forward { type filter hook forward priority 0 ; }",
            "nft add chain inet router nat { type nat hook postrouting priority 100 ; }",
        )

    def translate(self, ports: str) -> None:
        """Masquerade what the caller sends, UDP with source ports of this range."""
        self.host.run(
            "nft flush chain inet router nat",
            f"nft add rule inet router nat oifname outside meta l4proto udp masquerade to :{ports}",
            "nft add rule inet router nat oifname outside masquerade",
        )

    def rebind(self, ports: str) -> None:
        """Give the caller's UDP other source ports, as a NAT that has lost its table."""
        self.translate(ports)
        self.host.run("conntrack --delete --proto udp")

    def move(self) -> None:
        """Another public address: all mappings are gone, those of TCP too."""
        self.host.run(
            f"ip address delete {_IPV4.outside} dev outside",
            f"ip address add {_MOVED} dev outside",
            f"ip route add {_around(SERVER)} via {_host(_IPV4.server)}",
        )

    def block_udp(self) -> None:
        self.host.run("nft add rule inet router forward meta l4proto udp drop")

    def pass_udp(self) -> None:
        self.host.run("nft flush chain inet router forward")

    def close(self) -> None:
        self.host.close()

    def narrow(self, mtu: int) -> None:
        """Of the link to the server. The caller's stays wide: it must learn of it."""
        self.host.run(f"ip link set outside mtu {mtu}")


class Network(NamedTuple):
    caller: Namespace
    router: Router


@contextlib.contextmanager
def routed(server: Namespace, *, ipv6: bool = False) -> Iterator[Network]:
    """The caller's host has addresses of one IP version only."""
    plan, flag, public = (_IPV6, "-6", SERVER_6) if ipv6 else (_IPV4, "-4", SERVER)
    with (
        contextlib.closing(Namespace()) as caller,
        contextlib.closing(Router()) as router,
        _linked(caller, "inside", router.host, "inside"),
        _linked(router.host, "outside", server, "uplink"),
    ):
        _set_address(caller, "inside", plan.caller)
        _set_address(router.host, "inside", plan.inside)
        _set_address(router.host, "outside", plan.outside)
        _set_address(server, "uplink", plan.server)
        caller.run(f"ip {flag} route add default via {_host(plan.inside)}")
        router.host.run(f"ip {flag} route add {_around(public)} via {_host(plan.server)}")
        server.run(f"ip {flag} route add default via {_host(plan.outside)}")
        yield Network(caller, router)


@contextlib.contextmanager
def bridged(server: Namespace) -> Iterator[tuple[Namespace, Namespace]]:
    """The caller's host, and one in the middle, whose interfaces `inside` and `outside` something must connect."""
    with (
        contextlib.closing(Namespace()) as caller,
        contextlib.closing(Namespace()) as middle,
        _linked(caller, "inside", middle, "inside"),
        _linked(middle, "outside", server, "uplink"),
    ):
        _set_address(caller, "inside", "203.0.113.3/24")
        _set_address(server, "uplink", _IPV4.server)
        middle.run("ip link set dev inside up", "ip link set dev outside up")
        caller.run(f"ip route add default via {_host(_IPV4.server)}")
        yield caller, middle


@contextlib.contextmanager
def _linked(one: Namespace, its_end: str, other: Namespace, other_end: str) -> Iterator[None]:
    one.run(f"ip link add {its_end} type veth peer name {other_end} netns {other.path}")
    try:
        yield
    finally:
        one.run(f"ip link delete {its_end}")


def _set_address(host: Namespace, interface: str, address: str) -> None:
    no_detection = " nodad" if ":" in address else ""  # else the address is not usable for a second
    host.run(f"ip address add {address} dev {interface}{no_detection}", f"ip link set dev {interface} up")


def _host(address: str) -> str:
    return address.partition("/")[0]


def _around(address: str) -> str:
    """The network of the server's public addresses."""
    return str(ipaddress.ip_network(f"{address}/{64 if ':' in address else 24}", strict=False))
