import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from aiortc import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCDtlsTransport
from OpenSSL import SSL

from media_worker import peer as peer_module
from media_worker import srtp
from media_worker.core.rate_limiter import BURST
from media_worker.pacer import Pacer
from media_worker.peer import Certificate, Peer, PeerCallbacks, PeerFailed, self_test
from media_worker.srtp import SrtpCodec
from shared.errors import ConfigError
from tests.fakes.counters import Gained
from tests.fakes.patience import eventually

DEADLINE_S = 10


class CountingPacer(Pacer):
    turns = 0

    async def turn(self) -> None:
        self.turns += 1
        await super().turn()


class Link:
    """Two peers that hear each other, and what they report to their owners."""

    def __init__(self, *, fingerprints: list[tuple[str, str]] | None = None, pacer: Pacer | None = None) -> None:
        certificate = Certificate.generate()
        right = [(f.algorithm, f.value) for f in certificate.getFingerprints()]
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self.heard_by_client: asyncio.Queue[str] = asyncio.Queue()
        self.closed: asyncio.Queue[str] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.told_too_fast = 0
        self.lost = 0

        def to_client(data: bytes) -> None:
            self.client.on_datagram(data)

        def to_server(data: bytes) -> None:
            self.server.on_datagram(data)

        self.server = Peer(
            certificate,
            right if fingerprints is None else fingerprints,
            to_client,
            PeerCallbacks(self.opened.set, self.messages.put_nowait, self.on_too_fast, self.closed.put_nowait),
            pacer=pacer,
        )
        self.client = Peer(
            certificate, right, to_server, PeerCallbacks(on_text=self.heard_by_client.put_nowait), is_dtls_server=False
        )

    def on_too_fast(self) -> None:
        self.told_too_fast += 1

    @asynccontextmanager
    async def connected(self, data: bool = True, longest: int = 65_536) -> AsyncIterator["Link"]:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(self.client.connect(), self.server.connect())
            if data:
                await asyncio.gather(
                    self.client.open_data(5000, 65_536, "control"), self.server.open_data(5000, longest)
                )
                await asyncio.gather(self.client.opened.wait(), self.server.opened.wait())
        try:
            yield self
        finally:
            await self.client.close()
            await self.server.close()


def all_acknowledged(channel: RTCDataChannel) -> bool:
    return channel.bufferedAmount == 0 and not channel.transport._sent_queue


async def test_self_test_passes_with_what_is_installed() -> None:
    await self_test()


@pytest.mark.parametrize("name", ["_set_role", "start"])
async def test_self_test_names_the_versions_when_aiortc_has_changed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(RTCDtlsTransport, name)
    with pytest.raises(ConfigError, match=r"aiortc \d+\.\d+.*pylibsrtp \d.*pyOpenSSL \d"):
        await self_test()


async def test_self_test_notices_keys_that_were_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    start: Callable[..., object] = RTCDtlsTransport._setup_srtp

    def renamed(self: RTCDtlsTransport) -> None:
        start(self)
        del self._rx_srtp

    monkeypatch.setattr(RTCDtlsTransport, "_setup_srtp", renamed)
    with pytest.raises(ConfigError, match="aiortc"):
        await self_test()


async def test_both_sides_derive_the_same_keys() -> None:
    link = Link()
    async with asyncio.timeout(DEADLINE_S):
        theirs, ours = await asyncio.gather(link.client.connect(), link.server.connect())
    packet = theirs.tx.protect(bytes.fromhex("80600001000000010000000a") + b"hello")
    size = SrtpCodec(ours).unprotect(packet)
    assert srtp.rx_buffer[12:size] == b"hello"
    await link.client.close()
    await link.server.close()


async def test_handshakes_take_their_turns_and_calls_that_run_do_not() -> None:
    pacer = CountingPacer()
    links = [Link(pacer=pacer) for _ in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(link.connected(data=False)) for link in links))
        assert pacer.turns >= 3 * 2, "a handshake has two flights of the client"
        during_handshakes = pacer.turns
        await asyncio.gather(*(link.server.open_data(5000, 65_536) for link in links))
        await asyncio.gather(*(link.client.open_data(5000, 65_536, "control") for link in links))
        await asyncio.gather(*(link.opened.wait() for link in links))
        assert pacer.turns == during_handshakes


async def test_messages_pass_both_ways_and_opening_is_reported() -> None:
    async with Link().connected() as link:
        assert link.opened.is_set()
        assert link.client.send_text("grüße")
        assert await asyncio.wait_for(link.messages.get(), DEADLINE_S) == "grüße"


async def test_a_wrong_fingerprint_fails_the_handshake_and_is_not_a_hangup() -> None:
    link = Link(fingerprints=[("sha-256", ":".join(["00"] * 32))])
    async with asyncio.timeout(DEADLINE_S):
        client = asyncio.create_task(link.client.connect())
        with pytest.raises(PeerFailed) as raised:
            await link.server.connect()
        await client
    assert raised.value.code == "dtls_failed"
    assert link.closed.empty()
    await link.server.close()
    await link.client.close()


async def test_a_caller_who_hangs_up_is_noticed() -> None:
    async with Link().connected() as link:
        await link.client.close()
        async with asyncio.timeout(DEADLINE_S):
            assert await link.closed.get() == "hangup"


async def test_our_own_close_is_not_a_hangup_and_may_be_repeated() -> None:
    link = Link()
    async with link.connected():
        await link.server.close()
        await link.server.close()
    assert link.closed.empty()


async def test_only_the_channel_named_control_is_ours() -> None:
    async with Link().connected(data=False) as link:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(link.client.open_data(5000, 65_536), link.server.open_data(5000, 65_536))
            assert link.client._sctp is not None
            for label, words in (("other", "nobody listens"), ("control", "heard"), ("control", "one is enough")):
                channel = RTCDataChannel(link.client._sctp, RTCDataChannelParameters(label=label))
                channel.on("open", partial(channel.send, words))
            assert await link.messages.get() == "heard"
        assert link.messages.empty()


async def test_bytes_are_read_as_text_whatever_they_are() -> None:
    async with Link().connected() as link:
        assert link.client._channel is not None
        link.client._channel.send(b"\xff\xfe{")
        assert await asyncio.wait_for(link.messages.get(), DEADLINE_S) == "��{"


async def test_nothing_is_sent_before_the_channel_is_open_and_none_after_it_closed() -> None:
    link = Link()
    assert not link.server.send_text("early")
    async with link.connected():
        assert link.server.send_text("now")
    assert not link.server.send_text("late")


async def test_a_caller_who_does_not_read_uses_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = Gained("antiphon_media_messages_dropped_total", why="not_read")
    async with Link().connected() as link:
        monkeypatch.setattr(link.client._link, "put", lambda _: None)
        accepted = 0
        while link.server.send_text("x" * 10_000):
            accepted += 1
        assert accepted * 10_000 <= peer_module._MAX_BUFFERED_BYTES + 20_000
        assert dropped() == 1


@pytest.mark.parametrize("longest", [1, 11])
async def test_a_caller_who_accepts_only_short_messages_gets_those(longest: int) -> None:
    dropped = Gained("antiphon_media_messages_dropped_total", why="too_long")
    async with Link().connected(longest=longest) as link:
        for _ in range(3):
            assert not link.server.send_text("twelve bytes")
        assert link.server.send_text("x" * longest)
        assert await asyncio.wait_for(link.heard_by_client.get(), DEADLINE_S) == "x" * longest
    assert dropped() == 3


async def test_messages_over_the_rate_are_reported_once_and_dropped() -> None:
    over_rate = Gained("antiphon_media_control_over_rate_total")
    async with Link().connected() as link:
        for n in range(BURST + 20):
            link.client.send_text(str(n))
        await eventually(lambda: over_rate() > 0 and over_rate() + link.messages.qsize() == BURST + 20)
        assert [await link.messages.get() for _ in range(BURST)] == [str(n) for n in range(BURST)]
        assert 1 <= link.told_too_fast <= 2
        assert link.closed.empty()


async def test_a_flood_of_messages_ends_the_session() -> None:
    async with Link().connected() as link:
        channel = link.client._channel
        assert channel is not None
        while link.closed.empty():
            for n in range(BURST):
                channel.send(str(n))
            # All at once they would be lost on the way.
            await eventually(lambda: all_acknowledged(channel) or not link.closed.empty())
        assert await asyncio.wait_for(link.closed.get(), DEADLINE_S) == "too_many_messages"
        assert link.messages.qsize() < 2 * BURST
        assert link.closed.empty()


async def test_junk_during_the_handshake_does_not_stop_it() -> None:
    link = Link()
    for junk in (b"\x16", b"\x16" + bytes(40), bytes([22, 254, 253]) + bytes(range(60)), b"\x17" * 1_200):
        link.server.on_datagram(junk)
        link.client.on_datagram(junk)
    async with link.connected():
        assert link.client.send_text("through")
        assert await asyncio.wait_for(link.messages.get(), DEADLINE_S) == "through"


def record(content: bytes = bytes(100)) -> bytes:
    return bytes.fromhex("17fefd") + bytes(8) + len(content).to_bytes(2) + content


async def test_a_flood_is_dropped_rather_than_queued() -> None:
    link = Link()
    for _ in range(4_000):
        link.server.on_datagram(record())
    assert link.server._link._incoming.qsize() == peer_module._DTLS_QUEUE
    await link.server.close()
    await link.client.close()


async def test_the_others_have_their_turns_while_a_flood_is_read() -> None:
    async with Link().connected() as link:
        for _ in range(peer_module._DTLS_QUEUE):
            link.server.on_datagram(record())
        turns = 0
        while not link.server._link._incoming.empty():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= peer_module._DTLS_QUEUE


async def test_a_datagram_of_many_records_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the datagram stayed in memory and slowed down every later one."""
    async with Link().connected() as link:
        records: list[bytes] = []
        monkeypatch.setattr(link.client._link, "_sender", records.append)
        for words in ("one", "two", "three"):
            link.client.send_text(words)
            await eventually(lambda: link.client._channel is not None and link.client._channel.bufferedAmount == 0)
        link.server.on_datagram(b"".join(records))
        async with asyncio.timeout(DEADLINE_S):
            assert [await link.messages.get() for _ in records] == ["one", "two", "three"]
        assert link.server._dtls._ssl is not None
        with pytest.raises(SSL.WantReadError):
            link.server._dtls._ssl.recv(1_500)


async def test_a_peer_whose_dtls_can_no_longer_send_can_be_closed() -> None:
    async with Link().connected() as link:
        connection, reader = link.client._dtls._ssl, link.client._dtls._task
        assert connection is not None and reader is not None
        connection.renegotiate()
        with pytest.raises(SSL.Error):
            connection.do_handshake()
        await link.client.close()
        await eventually(reader.done)


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(record()[:-1], id="shorter than it says"),
        pytest.param(record(bytes(1_501)), id="longer than is read"),
        pytest.param(b"\x20" + record()[1:], id="of no type of DTLS 1.2"),
        pytest.param(record()[:12], id="half a header"),
    ],
)
async def test_bytes_that_are_not_a_dtls_record_are_ignored(datagram: bytes) -> None:
    link = Link()
    link.server.on_datagram(record(b"a whole one") + datagram)
    assert link.server._link._incoming.qsize() == 1
    await link.server.close()
    await link.client.close()


async def test_closing_before_the_handshake_frees_everything() -> None:
    before = asyncio.all_tasks()
    link = Link()
    task = asyncio.create_task(link.server.connect())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await link.server.close()
    assert asyncio.all_tasks() == before


def test_the_context_is_made_once() -> None:
    certificate = Certificate.generate()
    from aiortc.rtcdtlstransport import SRTP_PROFILES

    assert certificate._create_ssl_context(SRTP_PROFILES) is certificate._create_ssl_context(SRTP_PROFILES)
    assert certificate.sha256_fingerprint.startswith("sha-256 ")
