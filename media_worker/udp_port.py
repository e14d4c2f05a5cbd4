"""One UDP port for all callers of the process: assigns each datagram to its session.

The first byte tells the protocol (RFC 7983). A STUN check finds its session by user name fragment. Everything else
must come from an address that a signed check of the session came from. Other datagrams are dropped and counted.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Any, Protocol

import ifaddr
from prometheus_client import Counter

from media_worker.core.path_selection import Path, Source
from media_worker.core.stun import Address, BindingRequest, StunError, parse_request
from shared.errors import ConfigError
from shared.io.logs import get_logger

_BUFFER_BYTES = 4 << 20  # a stall of 40 ms at 250 callers is 500 packets
_MAX_DATAGRAM = 2_048
_READS_PER_WAKE = 256
_WILDCARDS = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}

_dropped = Counter("antiphon_media_datagrams_dropped_total", "Datagrams that belong to no session", ["why"])
_unowned = _dropped.labels("unvalidated_address")
_bad_stun = _dropped.labels("bad_stun")
_unknown_ufrag = _dropped.labels("unknown_ufrag")
_send_failed = _dropped.labels("send_failed")

log = get_logger()


class Owner(Protocol):
    """A session, as the port sees it."""

    id: str

    def on_check(self, request: BindingRequest, path: Path) -> None: ...

    def on_media(self, datagram: bytes, source: Source, now: float) -> None: ...

    def on_dtls(self, datagram: bytes) -> None: ...

    def was_heard_at(self, path: Path, now: float) -> bool: ...

    def close(self, reason: str) -> None: ...


class _Socket:
    def __init__(self, port: "UdpPort", index: int, bound: socket.socket) -> None:
        self.index = index
        self.socket = bound
        self.owners: dict[tuple[Any, ...], Owner] = {}
        self._receive = bound.recvfrom
        self._port = port

    def on_readable(self) -> None:
        """Reads everything, then processes everything, so that each loop's code stays in the processor's cache."""
        now = asyncio.get_running_loop().time()  # one time for all packets that came together
        owners, index = self.owners, self.index
        for datagram, address in self._read_all():
            owner = owners.get(address)
            first = datagram[0] if datagram else 255
            try:
                if owner is not None and 127 < first < 192:
                    owner.on_media(datagram, (index, address), now)
                elif owner is not None and 19 < first < 64:
                    owner.on_dtls(datagram)
                elif first < 4:
                    self._port.on_stun(datagram, Path(self.index, address))
                else:
                    _unowned.inc()
            except Exception:  # one caller's failure must not lose the packets of others
                log.exception("datagram_failed", session_id=owner.id if owner is not None else None)
                if owner is not None:
                    owner.close("internal")

    def _read_all(self) -> list[tuple[bytes, Any]]:
        """The datagrams that have arrived, up to a bound; the rest wakes us again."""
        received: list[tuple[bytes, Any]] = []
        receive, keep = self._receive, received.append
        try:
            for _ in range(_READS_PER_WAKE):
                keep(receive(_MAX_DATAGRAM))
        except OSError:
            # Nothing more to read, or the ICMP error of an earlier send (port unreachable): its caller will time out.
            pass
        return received


class UdpPort:
    """The sockets of one port number, one per local address."""

    def __init__(self, addresses: tuple[str, ...], port: int) -> None:
        """Raises `ConfigError` for an invalid address or a port that cannot be used."""
        self._sockets: list[_Socket] = []
        self._queued: list[tuple[Callable[[bytes, Any], int], bytes, Any]] = []
        self._by_ufrag: dict[str, Owner] = {}
        self.port = port
        try:
            for host in _hosts_for(addresses):
                self._bind(host)
        except ConfigError:
            self._close_sockets()
            raise
        self.addresses: tuple[Address, ...] = tuple((address, self.port) for address in addresses)
        """That callers are told."""

    @property
    def bound(self) -> list[socket.socket]:
        return [each.socket for each in self._sockets]

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.add_reader(each.socket.fileno(), each.on_readable)

    def close(self) -> None:
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each.socket.fileno())
        self._close_sockets()

    def expect(self, ufrag: str, owner: Owner) -> None:
        """Assign checks for `ufrag` to this owner."""
        self._by_ufrag[ufrag] = owner

    def forget(self, ufrag: str) -> None:
        self._by_ufrag.pop(ufrag, None)

    def owner(self, path: Path) -> Owner | None:
        """The owner of the address."""
        return self._sockets[path.socket_index].owners.get(path.address)

    def own(self, path: Path, owner: Owner) -> None:
        """Assign media and DTLS from a validated address to this owner."""
        self._sockets[path.socket_index].owners[path.address] = owner

    def disown(self, path: Path, owner: Owner) -> None:
        """Undo `own`, unless the address has another owner by now."""
        owners = self._sockets[path.socket_index].owners
        if owners.get(path.address) is owner:
            del owners[path.address]

    def disown_all(self, owner: Owner) -> None:
        for each in self._sockets:
            for address in [a for a, known in each.owners.items() if known is owner]:
                del each.owners[address]

    def sender(self, path: Path) -> Callable[[bytes], None]:
        """A function that sends to this path. A full socket buffer drops the datagram, as the network might."""
        send, address = self._sockets[path.socket_index].socket.sendto, path.address

        def send_to_path(datagram: bytes) -> None:
            try:
                send(datagram, address)
            except OSError:
                _send_failed.inc()

        return send_to_path

    def queue(self, path: Path) -> Callable[[bytes], None]:
        """Like `sender`, but packets wait for `send_queued`."""
        send, address = self._sockets[path.socket_index].socket.sendto, path.address
        append = self._queued.append

        def queue_to_path(datagram: bytes) -> None:
            append((send, datagram, address))

        return queue_to_path

    def send_queued(self) -> None:
        """Send what `queue` collected.

        Sending packets one by one as they are made takes a twelfth of a core more: each would wake its receiver or the
        network card, and evict the codec from the processor's cache.
        """
        for send, datagram, address in self._queued:
            try:
                send(datagram, address)
            except OSError:
                _send_failed.inc()
        self._queued.clear()

    def on_stun(self, datagram: bytes, path: Path) -> None:
        try:
            request = parse_request(datagram)
        except StunError:
            _bad_stun.inc()
            return
        owner = self._by_ufrag.get(request.local_ufrag)
        if owner is None:
            _unknown_ufrag.inc()
            return
        owner.on_check(request, path)

    def _bind(self, host: str) -> None:
        family = _family(host)
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                bound.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
            bound.setblocking(False)
            bound.bind((host, self.port))
        except OSError as error:
            bound.close()
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"UDP port {self.port} of {host} is taken by another process: choose another one with"
                    " ANTIPHON_MEDIA_PORT, or give each media worker of the machine an ANTIPHON_MEDIA_INDEX of its own"
                ) from error
            raise ConfigError(f"UDP port {self.port} of {host} cannot be used: {error.strerror}") from error
        self.port = bound.getsockname()[1]
        self._sockets.append(_Socket(self, len(self._sockets), bound))

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.socket.close()
        self._sockets.clear()


def _family(address: str) -> socket.AddressFamily:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError as error:
        raise ConfigError(f"{address!r} is not an IP address (ANTIPHON_PUBLIC_IPS, ANTIPHON_NODE_IP)") from error
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _hosts_for(addresses: tuple[str, ...]) -> list[str]:
    """The addresses to bind to. An address that this machine does not have belongs to a 1:1 NAT in front of it.

    With one such address a wildcard socket is enough. With several, each local address gets a socket, because an answer
    must leave from the address that was asked.
    """
    hosts: dict[str, None] = {}
    for family, wildcard in _WILDCARDS.items():
        of_family = [address for address in addresses if _family(address) == family]
        foreign = [address for address in of_family if not _is_ours(address)]
        if len(foreign) == 1:
            hosts[wildcard] = None
            continue
        hosts |= dict.fromkeys(address for address in of_family if address not in foreign)
        hosts |= dict.fromkeys(_our_addresses(family) if foreign else ())
    return list(hosts)


def _is_ours(address: str) -> bool:
    with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise ConfigError(f"{address} cannot be used: {error.strerror}") from error
    return True


def _our_addresses(family: socket.AddressFamily) -> list[str]:
    """Local addresses except link-local ones, which other networks cannot reach."""
    all_of_them = (ip for adapter in ifaddr.get_adapters() for ip in adapter.ips)
    texts = (ip.ip if isinstance(ip.ip, str) else ip.ip[0] for ip in all_of_them)
    return [text for text in texts if _family(text) == family and not ipaddress.ip_address(text).is_link_local]


def detect_addresses() -> tuple[str, ...]:
    """The addresses that this machine would use towards the network, else loopback. Sends no packet."""
    found = []
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue
            found.append(str(probe.getsockname()[0]))
    return tuple(found) or ("127.0.0.1",)
