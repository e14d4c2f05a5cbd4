"""The UDP port, and the addresses under which callers reach it: as set, as a STUN server sees them, or as detected.

A STUN server (RFC 8489) is asked once, at the start, from the very sockets that callers will reach.
"""

import asyncio
import contextlib
import ipaddress
import re
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any

from media_worker.core.stun import Address, StunError, StunRefusal, address_request, parse_mapped_address
from media_worker.settings import MediaSettings
from media_worker.udp_port import UdpPort, detect_addresses
from shared.errors import AntiphonError, ConfigError
from shared.io.logs import get_logger

_WAITS_S = (0.5, 1.0, 2.0, 4.0)
"""After each request. They double as in RFC 8489 §6.2.1, but there are fewer, so that a bad setting shows soon."""
_RESOLVE_S = 10.0
_MAX_DATAGRAM = 2_048
_SERVER = re.compile(r"(?:stun:)?(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]/?@\s]+))(?::(?P<port>\d{1,5}))?")
_DEFAULT_PORT = 3478
_PRIVATE = [
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]
"""RFC 1918, 6598 and 4193."""

log = get_logger()


async def open_port(settings: MediaSettings) -> UdpPort:
    """Raises `ConfigError` for settings that cannot be used, `AntiphonError` (`stun_failed`) if no server answers."""
    public = _items(settings.public_ips)
    inside = _items(settings.node_ip) or detect_addresses()
    port = UdpPort(public or inside, settings.udp_port)
    # Manifests always set the node's address. A private one does not keep an operator from asking.
    if settings.stun_server and not public and (not settings.node_ip or all(map(_is_private, inside))):
        try:
            port.addresses = await _addresses_outside(port, settings.stun_server)
        except BaseException:
            port.close()
            raise
    return port


async def _addresses_outside(port: UdpPort, server: str) -> tuple[Address, ...]:
    """An address stays as it is if the server has none of its family, or does not answer it. It must answer one."""
    servers = await _resolved(server)
    asked = [bound for bound in port.bound if bound.family in servers]
    answers = await asyncio.gather(*(asyncio.to_thread(_ask, bound, servers[bound.family]) for bound in asked))
    mapped = {bound: answer for bound, answer in zip(asked, answers, strict=True) if not isinstance(answer, str)}
    if not mapped:
        why = ", ".join(dict.fromkeys(map(str, answers))) or "it has no address of a family that we have"
        raise _failed(server, why)
    addresses = []
    for bound in port.bound:
        inside: Address = bound.getsockname()[:2]
        outside = mapped.get(bound, inside)
        log.info("public_address", inside=inside, outside=outside, stun_server=server if bound in mapped else None)
        if outside[1] != inside[1]:
            log.warning("nat_changes_port", inside=inside, outside=outside)
        addresses.append(outside)
    return tuple(dict.fromkeys(addresses))


async def _resolved(server: str) -> Mapping[int, Any]:
    """The server's first address of each family."""
    parts = _SERVER.fullmatch(server.strip())
    if parts is None or not 0 < int(parts["port"] or _DEFAULT_PORT) < 65_536:
        raise ConfigError(f"ANTIPHON_STUN_SERVER: write {server!r} like stun:stun.example.com:3478")
    host, port = parts["v6"] or parts["host"], int(parts["port"] or _DEFAULT_PORT)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError) as error:
        raise _failed(server, f"its name is not known ({error})") from error
    return {family: address for family, *_, address in reversed(found)}


def _ask(bound: socket.socket, server: Any) -> Address | str:
    """Our address as the server sees it, or why it is not known. Blocks.

    Others know this port, too: only the server's own answer to this request counts.
    """
    transaction_id = secrets.token_bytes(12)
    try:
        for wait_s in _WAITS_S:
            bound.sendto(address_request(transaction_id), server)
            ends_s = time.monotonic() + wait_s
            while (left_s := ends_s - time.monotonic()) > 0:
                bound.settimeout(left_s)
                with contextlib.suppress(TimeoutError):
                    data, source = bound.recvfrom(_MAX_DATAGRAM)
                    if source[:2] == server[:2]:
                        try:
                            return parse_mapped_address(data, transaction_id)
                        except StunRefusal as refusal:
                            return refusal.message
                        except StunError:
                            continue
    except OSError as error:
        return error.strerror or str(error)
    finally:
        bound.setblocking(False)
    return f"no answer within {sum(_WAITS_S):g} s"


def _is_private(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in _PRIVATE)


def _items(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (item.strip() for item in text.split(","))))


def _failed(server: str, why: str) -> AntiphonError:
    return AntiphonError(
        f"STUN server {server} did not tell our address: {why} (ANTIPHON_STUN_SERVER; or set ANTIPHON_PUBLIC_IPS)",
        code="stun_failed",
    )
