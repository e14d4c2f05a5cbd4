import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from aioice import stun as aioice_stun

from media_worker import udp_port
from media_worker.core.path_selection import Path, Source
from media_worker.core.stun import BindingRequest
from media_worker.udp_port import UdpPort, detect_addresses
from shared.errors import ConfigError
from tests.fakes.counters import Gained

DTLS = b"\x16\xfe\xfd" + bytes(20)
RTP = b"\x80\x6f" + bytes(20)
DEADLINE_S = 5


class RecordingOwner:
    """Validates every sender of a check, and records what arrives."""

    id = "s1"

    def __init__(self, port: UdpPort) -> None:
        self._port = port
        self.seen: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.paths: list[Path] = []

    def on_check(self, request: BindingRequest, path: Path) -> None:
        self.paths.append(path)
        self._port.own(path, self)
        self._port.sender(path)(b"answer")
        self.seen.put_nowait(("check", request.local_ufrag.encode()))

    def on_media(self, datagram: bytes, source: Source, now: float) -> None:
        self.seen.put_nowait(("media", datagram))

    def on_dtls(self, datagram: bytes) -> None:
        self.seen.put_nowait(("dtls", datagram))

    def was_heard_at(self, path: Path, now: float) -> bool:
        return True

    def close(self, reason: str) -> None:
        self.seen.put_nowait(("closed", reason.encode()))

    async def next(self) -> tuple[str, bytes]:
        async with asyncio.timeout(DEADLINE_S):
            return await self.seen.get()


class Sender:
    def __init__(self, port: UdpPort, host: str = "127.0.0.1") -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self._to = (host, port.port)

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.socket.sendto(datagram, self._to)

    async def hear(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await asyncio.get_running_loop().sock_recv(self.socket, 2_048)


def check(ufrag: str) -> bytes:
    message = aioice_stun.Message(message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{ufrag}:theirs"
    message.add_message_integrity(b"whatever")
    return bytes(message)


@pytest.fixture
async def port() -> AsyncIterator[UdpPort]:
    port = UdpPort(("127.0.0.1",), 0)
    port.start()
    yield port
    port.close()


@pytest.fixture
def owner(port: UdpPort) -> RecordingOwner:
    owner = RecordingOwner(port)
    port.expect("ours", owner)
    return owner


@pytest.fixture
def sender(port: UdpPort) -> Iterator[Sender]:
    sender = Sender(port)
    yield sender
    sender.socket.close()


async def test_a_check_finds_its_session_by_its_fragment(owner: RecordingOwner, sender: Sender) -> None:
    sender.send(check("ours"))
    assert await owner.next() == ("check", b"ours")
    assert owner.paths[0].source == sender.socket.getsockname()
    assert await sender.hear() == b"answer"


async def test_the_first_byte_tells_the_protocol_of_a_validated_address(owner: RecordingOwner, sender: Sender) -> None:
    sender.send(check("ours"), DTLS, RTP, b"\x81\xc8" + bytes(26), b"\x17" + bytes(30))
    assert [(await owner.next())[0] for _ in range(5)] == ["check", "dtls", "media", "media", "dtls"]


async def test_what_comes_before_validation_is_dropped_and_counted(owner: RecordingOwner, sender: Sender) -> None:
    dropped = Gained("antiphon_media_datagrams_dropped_total", why="unvalidated_address")
    sender.send(DTLS, RTP, b"", b"\x40turn", b"\xffjunk", check("ours"))
    assert await owner.next() == ("check", b"ours")
    assert dropped() == 5
    assert owner.seen.empty()


async def test_only_media_and_dtls_from_a_validated_address_are_kept(owner: RecordingOwner, sender: Sender) -> None:
    dropped = Gained("antiphon_media_datagrams_dropped_total", why="unvalidated_address")
    sender.send(check("ours"), b"", b"\x04", b"\x13", b"\x40", b"\x7f", b"\xc0", RTP)
    assert [(await owner.next())[0] for _ in range(2)] == ["check", "media"]
    assert dropped() == 6


async def test_an_unknown_fragment_and_broken_checks_are_counted(owner: RecordingOwner, sender: Sender) -> None:
    unknown = Gained("antiphon_media_datagrams_dropped_total", why="unknown_ufrag")
    broken = Gained("antiphon_media_datagrams_dropped_total", why="bad_stun")
    sender.send(check("theirs"), b"\x00\x01", check("ours")[:-4], check("ours"))
    await owner.next()
    assert (unknown(), broken()) == (1, 2)


async def test_a_forgotten_fragment_is_unknown(port: UdpPort, owner: RecordingOwner, sender: Sender) -> None:
    unknown = Gained("antiphon_media_datagrams_dropped_total", why="unknown_ufrag")
    port.expect("other", owner)
    port.forget("ours")
    port.forget("ours")
    sender.send(check("ours"), check("other"))
    assert await owner.next() == ("check", b"other")
    assert unknown() == 1


async def test_datagrams_from_a_disowned_address_drop(port: UdpPort, owner: RecordingOwner, sender: Sender) -> None:
    sender.send(check("ours"))
    await owner.next()
    port.disown_all(owner)
    sender.send(RTP, check("ours"))
    assert (await owner.next())[0] == "check"
    port.disown(owner.paths[-1], owner)
    sender.send(RTP, check("ours"))
    assert (await owner.next())[0] == "check"
    assert owner.seen.empty()


async def test_an_address_is_disowned_by_its_owner_only(port: UdpPort, owner: RecordingOwner, sender: Sender) -> None:
    sender.send(check("ours"))
    await owner.next()
    port.disown(owner.paths[0], RecordingOwner(port))
    sender.send(RTP)
    assert await owner.next() == ("media", RTP)


async def test_a_flood_from_strangers_does_not_hide_a_caller(
    port: UdpPort, owner: RecordingOwner, sender: Sender
) -> None:
    flood = Sender(port)
    sender.send(check("ours"))
    await owner.next()
    for _ in range(20):
        flood.send(*[DTLS] * 50)
        sender.send(RTP)
        assert await owner.next() == ("media", RTP)
    flood.socket.close()


async def test_a_failing_owner_is_closed_and_no_packet_of_others_is_lost(
    port: UdpPort, owner: RecordingOwner, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.send(check("ours"))
    await owner.next()

    def fail(_: bytes) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(owner, "on_dtls", fail)
    sender.send(DTLS, RTP)
    assert [await owner.next(), await owner.next()] == [("closed", b"internal"), ("media", RTP)]


async def test_queued_packets_leave_together_in_their_order(port: UdpPort, sender: Sender) -> None:
    first, second = (port.queue(Path(0, sender.socket.getsockname())) for _ in range(2))
    first(b"one")
    second(b"two")
    port.sender(Path(0, sender.socket.getsockname()))(b"not queued")
    assert await sender.hear() == b"not queued"
    port.send_queued()
    assert [await sender.hear(), await sender.hear()] == [b"one", b"two"]
    port.send_queued()
    with pytest.raises(BlockingIOError):
        sender.socket.recv(2_048)


async def test_queued_packets_that_cannot_be_sent_are_counted_and_the_rest_is_sent(
    port: UdpPort, sender: Sender
) -> None:
    failed = Gained("antiphon_media_datagrams_dropped_total", why="send_failed")
    queue = port.queue(Path(0, sender.socket.getsockname()))
    queue(b"x" * 70_000)
    queue(b"small")
    port.send_queued()
    assert await sender.hear() == b"small"
    assert failed() == 1


async def test_sending_to_an_impossible_address_is_counted(port: UdpPort) -> None:
    failed = Gained("antiphon_media_datagrams_dropped_total", why="send_failed")
    port.sender(Path(0, ("127.0.0.1", 9)))(b"x" * 70_000)
    assert failed() == 1


@pytest.mark.parametrize("addresses", [("::1",), ("127.0.0.1", "::1")])
async def test_ipv6(addresses: tuple[str, ...]) -> None:
    port = UdpPort(addresses, 0)
    port.start()
    owner = RecordingOwner(port)
    port.expect("ours", owner)
    assert port.addresses == tuple((address, port.port) for address in addresses)
    for address in addresses:
        sender = Sender(port, address)
        sender.send(check("ours"), DTLS)
        assert [(await owner.next())[0] for _ in range(2)] == ["check", "dtls"]
        assert await sender.hear() == b"answer"
        assert owner.paths[-1].source[0] == address
        sender.socket.close()
    port.close()


def test_a_port_in_use_is_a_config_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"UDP port {number} of 127.0.0.1 is taken.*ANTIPHON_MEDIA_PORT"):
            UdpPort(("127.0.0.1",), number)


@pytest.mark.parametrize("address", ["example.org", "127.0.0.1:80", "fe80::%", "300.1.1.1"])
def test_an_invalid_address_is_a_config_error(address: str) -> None:
    with pytest.raises(ConfigError):
        UdpPort((address,), 0)


@pytest.mark.parametrize(
    "public", [("203.0.113.5",), ("203.0.113.5", "127.0.0.1"), ("203.0.113.5", "203.0.113.6", "127.0.0.1")]
)
async def test_addresses_of_a_nat_in_front_of_us_are_announced_and_every_own_one_is_listened_on(
    public: tuple[str, ...],
) -> None:
    port = UdpPort(public, 0)
    port.start()
    owner = RecordingOwner(port)
    port.expect("ours", owner)
    assert port.addresses == tuple((address, port.port) for address in public)
    sender = Sender(port)
    sender.send(check("ours"))
    assert await owner.next() == ("check", b"ours")
    assert await sender.hear() == b"answer"
    sender.socket.close()
    port.close()


def test_behind_several_addresses_of_a_nat_answers_leave_by_the_address_that_was_asked() -> None:
    port = UdpPort(("203.0.113.5", "203.0.113.6", "2001:db8::5"), 0)
    bound = {each.socket.getsockname()[:2] for each in port._sockets}
    port._close_sockets()
    assert ("127.0.0.1", port.port) in bound
    assert ("0.0.0.0", port.port) not in bound
    assert ("::", port.port) in bound, "behind one address any will do"


def test_nothing_stays_open_when_one_of_several_addresses_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []
    original = udp_port._Socket

    class Remembering(original):  # type: ignore[misc, valid-type]
        def __init__(self, port: UdpPort, index: int, bound: socket.socket) -> None:
            super().__init__(port, index, bound)
            opened.append(bound)

    monkeypatch.setattr(udp_port, "_Socket", Remembering)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::1", 0))
        with pytest.raises(ConfigError):
            UdpPort(("127.0.0.1", "::1"), taken.getsockname()[1])
    assert [each.fileno() for each in opened] == [-1]


def test_some_address_is_always_found() -> None:
    found = detect_addresses()
    assert found
    port = UdpPort(found, 0)
    assert len(port.addresses) == len(found)
    port._close_sockets()
