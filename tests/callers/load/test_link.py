"""A leader and a helper on one TCP connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from callers.load.link import LARGEST_FRAME, Link, LinkError, accept_link, open_link

KEY = b"a key"
Outcome = asyncio.Queue[Link | LinkError]


@asynccontextmanager
async def leader(key: bytes = KEY) -> AsyncIterator[tuple[int, Outcome]]:
    """Its port, and what became of each connection."""
    outcomes: Outcome = asyncio.Queue()
    links: list[Link] = []

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            link = await accept_link(reader, writer, key)
            links.append(link)
            outcomes.put_nowait(link)
        except LinkError as error:
            outcomes.put_nowait(error)

    server = await asyncio.start_server(welcome, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], outcomes
    finally:
        server.close()
        for link in links:
            await link.__aexit__()


async def in_time(work: Awaitable[Link | LinkError]) -> Link | LinkError:
    return await asyncio.wait_for(work, 5)


async def test_both_ways_frames_arrive_in_order() -> None:
    async with leader() as (port, outcomes), await open_link("127.0.0.1", port, KEY) as helper:
        ours = await in_time(outcomes.get())
        assert isinstance(ours, Link)
        for content in (b"", b"one", b"two" * 100_000):
            await helper.send(content)
            assert await ours.receive(5) == content
        await ours.send(b"back")
        assert await helper.receive(5) == b"back"


async def test_who_has_another_key_is_refused_on_both_sides() -> None:
    async with leader() as (port, outcomes):
        with pytest.raises(LinkError) as refused:
            await open_link("127.0.0.1", port, b"another key")
        assert refused.value.code == "key_refused"
        outcome = await in_time(outcomes.get())
        assert isinstance(outcome, LinkError)
        assert outcome.code == "key_refused"


def flipped(frame: bytes) -> bytes:
    return frame[:-1] + bytes([frame[-1] ^ 1])


@pytest.mark.parametrize("harm", [flipped, lambda frame: frame + frame], ids=["changed", "repeated"])
async def test_a_frame_that_was_changed_or_repeated_on_the_way_is_refused(harm: Callable[[bytes], bytes]) -> None:
    async with leader() as (port, outcomes), await open_link("127.0.0.1", port, KEY) as helper:
        ours = await in_time(outcomes.get())
        assert isinstance(ours, Link)
        written: list[bytes] = []
        write = helper._writer.write
        helper._writer.write = written.append  # type: ignore[method-assign, assignment]
        await helper.send(b"callers: 5")
        write(harm(written[0]))
        with pytest.raises(LinkError) as forged:
            for _ in range(2):
                await ours.receive(5)
        assert forged.value.code == "link_forged"


async def test_a_stranger_who_says_something_else_is_refused() -> None:
    async with leader() as (port, outcomes):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: leader\r\n\r\n" + bytes(64))
        assert isinstance(await in_time(outcomes.get()), LinkError)
        writer.close()
        await writer.wait_closed()


async def test_a_message_that_is_too_large_is_not_sent_and_not_read() -> None:
    async with leader() as (port, outcomes), await open_link("127.0.0.1", port, KEY) as helper:
        ours = await in_time(outcomes.get())
        assert isinstance(ours, Link)
        with pytest.raises(LinkError, match="too large"):
            await helper.send(bytes(LARGEST_FRAME + 1))
        helper._writer.write(b"\xff\xff\xff\xff")
        with pytest.raises(LinkError, match="too large"):
            await ours.receive(5)


async def test_a_silent_or_absent_other_side_is_an_error() -> None:
    async with leader() as (port, outcomes), await open_link("127.0.0.1", port, KEY) as helper:
        ours = await in_time(outcomes.get())
        assert isinstance(ours, Link)
        with pytest.raises(LinkError, match="gone"):
            await ours.receive(0.01)
        helper._writer.close()
        with pytest.raises(LinkError, match="gone"):
            await ours.receive(5)
    with pytest.raises(LinkError, match="no leader"):
        await open_link("127.0.0.1", port, KEY)
