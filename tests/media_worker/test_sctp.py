"""A connected but hostile caller: what they send over SCTP costs bounded time and memory."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from aiortc import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    SCTP_DATA_LAST_FRAG,
    SCTP_DATA_UNORDERED,
    WEBRTC_DCEP,
    WEBRTC_STRING,
    Chunk,
    DataChunk,
    ForwardTsnChunk,
    HeartbeatChunk,
    InitChunk,
    RTCSctpTransport,
    SackChunk,
    serialize_packet,
)

from media_worker import sctp
from media_worker.core.sdp_answer import MAX_MESSAGE_SIZE
from media_worker.peer import Peer, self_test
from media_worker.sctp import MAX_STREAMS, TSN_WINDOW, BoundedSctp
from shared.errors import ConfigError
from shared.rate_limiter import RateLimiter
from tests.fakes.counters import Gained
from tests.fakes.patience import eventually
from tests.media_worker.core.test_sctp_packet import Written
from tests.media_worker.test_peer import DEADLINE_S, Link

WHOLE = SCTP_DATA_FIRST_FRAG | SCTP_DATA_LAST_FRAG
TOGETHER = 50


def transport(peer: Peer) -> BoundedSctp:
    assert peer._sctp is not None
    return peer._sctp


def dropped(why: str) -> Gained:
    return Gained("antiphon_media_sctp_dropped_total", why=why)


def chunk(
    tsn: int, flags: int = WHOLE, stream: int = 0, words: bytes = b"x", protocol: int = WEBRTC_STRING
) -> DataChunk:
    made = DataChunk(flags=flags)
    made.tsn, made.stream_id, made.user_data, made.protocol = tsn % 2**32, stream, words, protocol
    return made


async def send(link: Link, chunks: Iterable[Chunk], tag: int | None = None, together: int = TOGETHER) -> None:
    """From the caller, bundled and paced so that none is lost on the way."""
    sender = transport(link.client)
    written = [bytes(each) for each in chunks]
    for number, some in enumerate(written[at : at + together] for at in range(0, len(written), together)):
        tag = sender._remote_verification_tag if tag is None else tag
        await sender.transport._send_data(serialize_packet(5_000, 5_000, tag, Written(b"".join(some))))
        if number % 20 == 19:
            await read(link)
    await read(link)


async def read(link: Link) -> None:
    """Until the server has read what was sent."""
    await eventually(link.server._link._incoming.empty)
    for _ in range(2):
        await asyncio.sleep(0)  # the last one was read, and is processed in the loop's next turn


async def says_and_is_heard(link: Link, words: str = "still here") -> None:
    assert link.client.send_text(words)
    async with asyncio.timeout(DEADLINE_S):
        while await link.messages.get() != words:
            pass


def held(link: Link) -> list[DataChunk]:
    return [each for stream in transport(link.server)._inbound_streams.values() for each in stream.reassembly]


def without_a_rate(link: Link) -> None:
    transport(link.server)._chunks = RateLimiter(1e9, 1e9)


# -- what is held back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, SCTP_DATA_UNORDERED, WHOLE, WHOLE | SCTP_DATA_UNORDERED])
async def test_chunks_behind_one_that_never_comes_are_kept_up_to_a_bound(flags: int) -> None:
    beyond = dropped("beyond_window")
    async with Link().connected() as link:
        first = transport(link.client)._local_tsn
        await send(link, (chunk(first + n, flags, stream=2) for n in range(1, 501)))
        assert len(transport(link.server)._sack_misordered) < TSN_WINDOW
        assert len(held(link)) < TSN_WINDOW
        assert beyond() == 500 - (TSN_WINDOW - 1)
        await says_and_is_heard(link)


async def test_a_message_that_never_ends_ends_the_session() -> None:
    async with Link().connected() as link:
        first = transport(link.client)._local_tsn
        flags = [SCTP_DATA_FIRST_FRAG, *[0] * 99]
        chunks = [chunk(first + n, flag, words=bytes(1_000)) for n, flag in enumerate(flags)]
        await send(link, chunks, together=1)
        assert await link.closed.get() == "message_too_large"
        assert len(held(link)) <= MAX_MESSAGE_SIZE // 1_000 + 1
        assert link.closed.empty()


async def test_a_message_in_bytes_that_never_ends_is_kept_up_to_a_bound() -> None:
    async with Link().connected() as link:
        first = transport(link.client)._local_tsn
        await send(link, (chunk(first + n, 0 if n else SCTP_DATA_FIRST_FRAG) for n in range(500)))
        assert len(held(link)) == sctp._MAX_HELD_CHUNKS


async def test_messages_whose_turn_never_comes_are_kept_up_to_a_bound() -> None:
    """Each is whole and acknowledged, and waits for one with a number before its own."""
    async with Link().connected() as link:
        first = transport(link.client)._local_tsn
        chunks = [chunk(first + n, words=bytes(1_000)) for n in range(400)]
        for each in chunks:
            each.stream_seq = 9
        await send(link, chunks, together=1)
        assert sum(len(each.user_data) for each in held(link)) <= sctp._MAX_HELD_BYTES
        assert transport(link.server)._advertised_rwnd <= 0


async def test_repeated_inits_keep_memory_bounded() -> None:
    async with Link().connected() as link:
        without_a_rate(link)
        first = transport(link.client)._local_tsn
        for n in range(1, 20):
            begin = InitChunk()
            begin.initiate_tag = transport(link.server)._remote_verification_tag
            begin.initial_tsn = (first - n * TSN_WINDOW) % 2**32
            await send(link, [begin], tag=0)
            flags = WHOLE | SCTP_DATA_UNORDERED
            await send(link, (chunk(begin.initial_tsn + ahead, flags) for ahead in range(1, TSN_WINDOW)))
        assert len(transport(link.server)._sack_misordered) <= TSN_WINDOW


async def test_what_a_reset_stream_held_is_given_back() -> None:
    async with Link().connected() as link:
        first = transport(link.client)._local_tsn
        await send(link, [chunk(first, SCTP_DATA_FIRST_FRAG, stream=4, words=bytes(1_000))])
        assert transport(link.server)._advertised_rwnd == sctp._WINDOW_BYTES - 1_000
        del transport(link.server)._inbound_streams[4]
        await send(link, [HeartbeatChunk()])
        assert transport(link.server)._advertised_rwnd == sctp._WINDOW_BYTES


async def test_the_longest_message_arrives() -> None:
    async with Link().connected() as link:
        for _ in range(3):
            await says_and_is_heard(link, "x" * MAX_MESSAGE_SIZE)


# -- channels ---------------------------------------------------------------------------------------------------------


async def test_a_few_extra_channels_are_tolerated_and_many_end_the_session() -> None:
    async with Link().connected() as link:
        for _ in range(MAX_STREAMS - 1):
            RTCDataChannel(transport(link.client), RTCDataChannelParameters(label="other"))
        await says_and_is_heard(link)
        assert link.closed.empty()
        RTCDataChannel(transport(link.client), RTCDataChannelParameters(label="one too many"))
        assert await asyncio.wait_for(link.closed.get(), DEADLINE_S) == "too_many_channels"


async def test_many_unopened_streams_end_the_session() -> None:
    async with Link().connected() as link:
        first = transport(link.client)._local_tsn
        await send(link, (chunk(first + n, stream=n) for n in range(500)))
        assert await link.closed.get() == "too_many_channels"
        assert len(transport(link.server)._inbound_streams) <= MAX_STREAMS + TOGETHER


@pytest.mark.parametrize(
    ("words", "protocol"),
    [(b"\3" + bytes(11), WEBRTC_DCEP), (b"\xff\xfe", WEBRTC_STRING)],
    ids=["a channel opened twice", "a text that is none"],
)
async def test_what_breaks_the_data_channel_ends_the_session_with_its_reason(words: bytes, protocol: int) -> None:
    async with Link().connected() as link:
        first = transport(link.client)._local_tsn
        (stream,) = transport(link.server)._data_channels
        made = chunk(first, WHOLE | SCTP_DATA_UNORDERED, stream, words, protocol)
        await send(link, [made])
        assert await link.closed.get() == "data_channel_failed"
        await send(link, [made])
        assert link.closed.empty()


# -- what costs time --------------------------------------------------------------------------------------------------


async def test_a_parameter_without_a_length_does_not_block_the_process() -> None:
    malformed = dropped("malformed")
    async with Link().connected() as link:
        await send(link, [Written(b"\4\0\0\x0c" + b"\0\1\0\0" + bytes(4))])
        assert malformed() == 1
        await says_and_is_heard(link)


async def test_acknowledgements_of_what_was_never_sent_are_not_read() -> None:
    never_sent = dropped("never_sent")
    async with Link().connected() as link:
        sent = transport(link.server)._local_tsn - 1
        for cumulative, gaps in (
            (sent, [(1, 0xFFFF)] * 200),
            (sent, [(1, 1)]),
            (sent - 5, [(1, 3)] * 2),
            (sent - 5, [(5, 4)]),
            (sent + 1, []),
        ):
            acknowledged = SackChunk()
            acknowledged.cumulative_tsn, acknowledged.gaps = cumulative % 2**32, gaps
            acknowledged.advertised_rwnd = 1_000_000
            await send(link, [acknowledged])
        assert never_sent() == 5
        assert link.server.send_text("heard")
        assert await asyncio.wait_for(link.heard_by_client.get(), DEADLINE_S) == "heard"


async def test_the_rate_of_chunks_is_limited() -> None:
    too_fast = dropped("too_fast")
    async with Link().connected() as link:
        answers = 0

        def count(_: bytes) -> None:
            nonlocal answers
            answers += 1

        link.server._link._sender = count
        await send(link, [HeartbeatChunk()] * 4_000)
        assert too_fast() + answers == pytest.approx(4_000, abs=20)
        assert answers < 3_000


async def test_messages_abandoned_by_the_caller_are_not_delivered() -> None:
    unsupported = dropped("unsupported")
    async with Link().connected() as link:
        given_up = ForwardTsnChunk()
        given_up.cumulative_tsn = transport(link.client)._local_tsn + 5
        given_up.streams = [(n, 0) for n in range(200)]
        await send(link, [given_up])
        assert unsupported() == 1
        assert transport(link.server)._remote_extensions == transport(link.client)._remote_extensions == [130]
        await says_and_is_heard(link)


# -- aiortc changes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_handle_data", "_receive_chunk", "_receive_data_chunk"])
async def test_self_test_notices_when_the_bounds_are_bypassed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(BoundedSctp, name)
    with pytest.raises(ConfigError, match="aiortc"):
        await self_test()


@pytest.mark.parametrize("name", sctp._RELIED_ON)
async def test_self_test_notices_missing_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    begin: Callable[..., None] = RTCSctpTransport.__init__

    def renamed(self: Any, *args: Any) -> None:
        begin(self, *args)
        delattr(self, name)

    monkeypatch.setattr(RTCSctpTransport, "__init__", renamed)
    with pytest.raises(ConfigError, match=name):
        await self_test()
