import itertools
import socket
from collections.abc import Iterator

import pytest
from aioice import stun as aioice_stun

from media_worker.caller_path import CallerPath
from media_worker.core.ice_lite import Credentials
from media_worker.core.path_selection import Path, Source
from media_worker.core.stun import BindingRequest, parse_request
from media_worker.udp_port import UdpPort
from tests.fakes.counters import Gained

LATER_S = 60.0


class Caller:
    """A session as the port sees it, and the caller's own socket."""

    def __init__(self, port: UdpPort, name: str) -> None:
        self.id = name
        numbers = itertools.count()
        self.path = CallerPath(port, self, lambda: Credentials(f"{name}{next(numbers)}", name * 24))
        self.path.open()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.address = Path(0, self.socket.getsockname())

    def check(self, now: float, source: Path | None = None) -> Path | None:
        """What a nominating check leads to, sent from `source` if it is forged."""
        credentials = self.path.credentials
        request = aioice_stun.Message(
            message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST
        )
        request.attributes.update({"USERNAME": f"{credentials.ufrag}:x", "ICE-CONTROLLING": 1, "USE-CANDIDATE": None})
        request.add_message_integrity(credentials.password.encode())
        return self.path.on_check(parse_request(bytes(request)), source or self.address, now)

    def on_check(self, request: BindingRequest, path: Path) -> None: ...

    def on_media(self, datagram: bytes, source: Source, now: float) -> None: ...

    def on_dtls(self, datagram: bytes) -> None: ...

    def was_heard_at(self, path: Path, now: float) -> bool:
        return self.path.was_heard_at(path, now)

    def close(self, reason: str) -> None: ...


@pytest.fixture
def port() -> Iterator[UdpPort]:
    port = UdpPort(("127.0.0.1",), 0)
    yield port
    for each in port._sockets:
        each.socket.close()


@pytest.fixture
def caller(port: UdpPort) -> Iterator[Caller]:
    caller = Caller(port, "a")
    yield caller
    caller.socket.close()


@pytest.fixture
def other(port: UdpPort) -> Iterator[Caller]:
    other = Caller(port, "b")
    yield other
    other.socket.close()


def test_before_a_check_nothing_is_sent(port: UdpPort, caller: Caller) -> None:
    caller.path.send(b"early")
    caller.path.queue()(b"early")
    port.send_queued()
    caller.check(1.0)
    assert caller.socket.recv(2_048)[:2] == b"\x01\x01", "the answer to the check comes first"


def test_a_check_proves_an_address_and_selects_it(port: UdpPort, caller: Caller) -> None:
    assert caller.check(1.0) == caller.address
    assert port.owner(caller.address) is caller
    assert caller.check(2.0) is None, "it is selected already"
    caller.path.send(b"at once")
    caller.path.queue()(b"with the others")
    port.send_queued()
    answers = [caller.socket.recv(2_048) for _ in range(4)]
    assert answers[2:] == [b"at once", b"with the others"]


def test_the_address_of_another_caller_cannot_be_taken_over(port: UdpPort, caller: Caller, other: Caller) -> None:
    refused = Gained("antiphon_media_checks_refused_total")
    caller.check(1.0)
    assert other.check(2.0, source=caller.address) is None
    assert refused() == 1
    assert port.owner(caller.address) is caller


def test_the_address_of_a_caller_who_has_left_can_be_reused(port: UdpPort, caller: Caller, other: Caller) -> None:
    caller.check(1.0)
    assert other.check(LATER_S, source=caller.address) == caller.address
    assert port.owner(caller.address) is other


def test_an_address_that_a_caller_has_left_can_be_reused(port: UdpPort, caller: Caller, other: Caller) -> None:
    caller.check(1.0)
    for now in range(5, 60, 5):
        caller.check(float(now), source=Path(0, ("127.0.0.1", 9)))
    assert other.check(60.0, source=caller.address) == caller.address


def test_a_forged_check_is_counted_and_changes_nothing(port: UdpPort, caller: Caller, other: Caller) -> None:
    refused = Gained("antiphon_media_checks_refused_total")
    request = aioice_stun.Message(message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST)
    request.attributes.update({"USERNAME": f"{caller.path.credentials.ufrag}:x", "USE-CANDIDATE": None})
    request.add_message_integrity(other.path.credentials.password.encode())
    assert caller.path.on_check(parse_request(bytes(request)), caller.address, 1.0) is None
    assert refused() == 1
    assert port.owner(caller.address) is None
    assert not caller.path.was_heard_at(caller.address, 1.0)


def test_a_restart_is_answered_under_new_credentials(port: UdpPort, caller: Caller) -> None:
    caller.check(1.0)
    before = caller.path.credentials
    caller.path.restart()
    assert caller.path.credentials != before
    assert set(port._by_ufrag) == {before.ufrag, caller.path.credentials.ufrag}
    caller.path.restart()
    assert len(port._by_ufrag) == 2


def test_close_leaves_nothing_behind(port: UdpPort, caller: Caller) -> None:
    caller.check(1.0)
    caller.path.restart()
    caller.path.close()
    assert not port._by_ufrag
    assert port.owner(caller.address) is None
