"""Media workers that fall silent, come back or are replaced; a broker that is away; and the drain. In virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pipeline_worker.echo_session import EchoSession
from shared import keys
from shared.events import (
    CallerConnected,
    EndSession,
    EventsMissed,
    MediaAttached,
    PipelineAttached,
    PipelineLeaving,
    PublishEvent,
    SessionClosed,
)
from shared.io.broker import Redis, connect
from tests.fakes.virtual_time import in_virtual_time
from tests.pipeline_worker.hosting import MEDIA, Hosting


@asynccontextmanager
async def hosting_echo(sessions: int = 1, **settings: object) -> AsyncIterator[tuple[Hosting, asyncio.Task[None]]]:
    """A connected echo session. Nothing of it needs a broker."""
    nobody = connect("redis://127.0.0.1:1/0")
    hosting = Hosting(nobody, **settings)
    hosting.liveness.on_read(asyncio.get_running_loop().time())
    task = hosting.start("s1", "echo")
    await hosting.until_attached("s1")
    hosting.tell(CallerConnected(session="s1"))
    try:
        yield hosting, task
    finally:
        hosting.host.end_all("server_shutdown")
        await task
        await nobody.aclose()


@in_virtual_time
async def test_media_workers_hear_twice_a_second_that_we_live() -> None:
    async with hosting_echo() as (hosting, _):
        await hosting.pass_time(2, MEDIA)
        assert hosting.touched == [keys.inbox("media", MEDIA)] * 4


@in_virtual_time
async def test_a_session_whose_media_worker_is_lost_waits_half_a_minute_for_another() -> None:
    async with hosting_echo() as (hosting, task):
        await hosting.pass_time(29, "media-2")
        assert not task.done()
        await hosting.pass_time(2, "media-2")
        assert hosting.ends() == [("s1", "media_worker_gone")]


@in_virtual_time
async def test_a_broker_that_was_away_for_a_minute_ends_no_session() -> None:
    async with hosting_echo() as (hosting, task):
        for _ in range(3):
            await hosting.pass_time(60, reads=False)
            await hosting.pass_time(20)  # read again, but the media worker is not yet heard
        assert not task.done()
        await hosting.pass_time(60, reads=False)
        hosting.tell(CallerConnected(session="s1"))
        await hosting.pass_time(20, MEDIA)
        assert not task.done()


@in_virtual_time
async def test_the_agent_stops_speaking_while_its_media_worker_or_the_broker_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suspended: list[bool] = []
    monkeypatch.setattr(EchoSession, "suspend", lambda _, unreachable: suspended.append(unreachable))
    async with hosting_echo() as (hosting, _):
        await hosting.pass_time(3, MEDIA)
        assert suspended == []
        await hosting.pass_time(3, reads=False)
        assert suspended == [True]
        await hosting.pass_time(1, MEDIA)
        assert suspended == [True, False]
        await hosting.pass_time(4)
        assert suspended == [True, False, True]


@in_virtual_time
async def test_a_session_that_its_media_worker_has_forgotten_is_freed() -> None:
    async with hosting_echo() as (hosting, _):
        await hosting.pass_time(31, MEDIA)
        assert hosting.ends() == [("s1", "media_worker_gone")]


@in_virtual_time
async def test_a_session_that_is_never_connected_is_freed_and_nobody_elses_call_is_ended() -> None:
    async with hosting_echo() as (hosting, task):
        other = hosting.start("s2", "echo")
        await hosting.until_attached("s1", "s2")
        await hosting.pass_time(16, MEDIA)
        assert other.done()
        assert hosting.ends() == []
        assert not task.done()


@in_virtual_time
async def test_the_session_moves_to_the_media_worker_that_attaches() -> None:
    async with hosting_echo() as (hosting, task):
        frame = hosting.peer.next_frame()
        moved = MediaAttached(session="s1", media_worker="media-2", generation=2)
        hosting.tell(moved, sender="media-2")
        hosting.tell(frame)  # the old one still lives
        assert hosting.peer.audio == []
        hosting.tell(SessionClosed(session="s1"))
        hosting.tell(frame, sender="media-2")
        assert len(hosting.peer.audio) == 1
        hosting.tell(moved.model_copy(update={"media_worker": MEDIA}), sender=MEDIA)  # not a newer one
        hosting.tell(frame._replace(seq=1), sender="media-2")
        assert len(hosting.peer.audio) == 2
        assert not task.done()
        await hosting.pass_time(1, "media-2")
        assert set(hosting.touched) == {keys.inbox("media", "media-2")}


@in_virtual_time
async def test_a_media_worker_that_takes_up_a_session_which_has_ended_is_told_so() -> None:
    async with hosting_echo() as (hosting, task):
        hosting.host.end_all("media_worker_gone")
        await task
        hosting.tell(MediaAttached(session="s1", media_worker="media-2", generation=2), sender="media-2")
        assert hosting.peer.all(SessionClosed) == [SessionClosed(session="s1", reason="session_gone")]


@in_virtual_time
async def test_a_call_went_on_without_its_agent_when_the_agents_hang_up_was_lost() -> None:
    async with hosting_echo() as (hosting, task):
        hosting.host.end_all("agent_hangup")
        await task
        sent = len(hosting.peer.sent)
        hosting.tell(EventsMissed(session="s1", published=0))
        status, end = hosting.peer.sent[sent:]
        assert isinstance(status, PublishEvent)
        assert end == EndSession(session="s1", epoch=1, after_playout=False)


@in_virtual_time
async def test_a_media_worker_that_misses_events_of_an_unknown_session_is_told_so() -> None:
    async with hosting_echo() as (hosting, _):
        hosting.tell(EventsMissed(session="s7", published=3))
        assert hosting.peer.all(SessionClosed) == [SessionClosed(session="s7", reason="session_gone")]


@in_virtual_time
async def test_of_the_sessions_that_have_ended_the_last_are_remembered() -> None:
    async with hosting_echo() as (hosting, _):
        for number in range(150):
            task = hosting.start(f"e{number}", "echo")
            await asyncio.sleep(0)
            hosting.host.end_all("agent_hangup")
            await task
        assert len(hosting.host._ended) == 100


@in_virtual_time
async def test_a_worker_that_was_replaced_is_told_so_by_any_media_worker() -> None:
    async with hosting_echo() as (hosting, task):
        hosting.tell(SessionClosed(session="s1", reason="replaced"), sender="media-7")
        await task
        assert hosting.ends() == []


@in_virtual_time
async def test_a_worker_that_hung_takes_its_own_session_over() -> None:
    async with hosting_echo() as (hosting, first):
        second = hosting.start("s1", "echo", epoch=2, resumed=True)
        await first
        await hosting.peer.until(lambda: len(hosting.peer.all(PipelineAttached)) == 2)
        assert [item.epoch for item in hosting.peer.all(PipelineAttached)] == [1, 2]
        assert hosting.ends() == []
        hosting.tell(SessionClosed(session="s1", reason="replaced", epoch=1))  # read late
        hosting.tell(CallerConnected(session="s1"))
        assert hosting.peer.all(PublishEvent)[-1].epoch == 2
        hosting.tell(SessionClosed(session="s1", reason="replaced", epoch=2))
        await second


async def test_of_two_requests_for_one_session_the_later_one_is_served(broker: Redis) -> None:
    hosting = Hosting(broker)
    requests = [hosting.start("s1", "front-desk", epoch=epoch, resumed=True) for epoch in (3, 2)]
    done, _ = await asyncio.wait(requests, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert done == {requests[1]}
    hosting.tell(CallerConnected(session="s1"))
    assert hosting.peer.all(PublishEvent)[-1].epoch == 3
    hosting.tell(SessionClosed(session="s1"))
    await asyncio.wait_for(requests[0], 5)
    assert await broker.keys("antiphon:s:*") == []


@in_virtual_time
async def test_a_session_that_cannot_be_claimed_is_left_to_other_workers() -> None:
    async with hosting_echo() as (hosting, _):
        await hosting.start("s2", "front-desk", epoch=2, resumed=True)
        assert [item.session for item in hosting.peer.all(PipelineAttached)] == ["s1"]
        assert hosting.peer.all(EndSession) == []


@in_virtual_time
async def test_a_draining_worker_serves_what_nobody_takes_until_its_deadline() -> None:
    async with hosting_echo() as (hosting, task):
        began = asyncio.get_running_loop().time()
        draining = asyncio.create_task(hosting.host.drain(10))
        await asyncio.sleep(1)
        assert [item.epoch for item in hosting.peer.all(PipelineLeaving)] == [1]
        hosting.tell(hosting.peer.next_frame())
        assert len(hosting.peer.audio) == 1
        await draining
        await task
        assert asyncio.get_running_loop().time() - began == 10
        assert hosting.ends() == [("s1", "server_shutdown")]
        assert len(hosting.peer.all(PipelineLeaving)) == 1


@in_virtual_time
async def test_a_draining_worker_stops_when_its_sessions_were_taken_over() -> None:
    async with hosting_echo() as (hosting, _):
        began = asyncio.get_running_loop().time()
        draining = asyncio.create_task(hosting.host.drain(10))
        await asyncio.sleep(0.5)
        hosting.tell(SessionClosed(session="s1", reason="replaced"))
        await draining
        assert asyncio.get_running_loop().time() - began == 0.5
        assert hosting.ends() == []


@in_virtual_time
async def test_a_session_in_the_middle_of_a_turn_leaves_shortly_before_the_deadline() -> None:
    async with hosting_echo() as (hosting, _):
        desk = hosting.start("s2", "front-desk")  # waits for its caller
        await hosting.until_attached("s1", "s2")
        draining = asyncio.create_task(hosting.host.drain(10))
        await asyncio.sleep(6.9)
        assert [item.session for item in hosting.peer.all(PipelineLeaving)] == ["s1"]
        await asyncio.sleep(1.2)  # it waits up to a second until it is saved: the broker is away
        assert [item.session for item in hosting.peer.all(PipelineLeaving)] == ["s1", "s2"]
        hosting.tell(*(SessionClosed(session=session, reason="replaced") for session in ("s1", "s2")))
        await asyncio.gather(draining, desk)


async def test_lost_messages_concern_the_sessions_of_their_sender_only(broker: Redis) -> None:
    hosting = Hosting(broker)
    here = hosting.start("s1", "front-desk")
    there = hosting.start("s2", "front-desk", media_worker="media-2")
    await hosting.until_attached("s1", "s2")
    frame = hosting.peer.next_frame()
    hosting.tell(frame._replace(session="s1"), follows_gap=True)
    hosting.tell(frame._replace(session="s2"), sender="media-2")
    assert [event.session for event in hosting.peer.all(PublishEvent)] == ["s1"]
    hosting.host.end_all("server_shutdown")
    await asyncio.wait_for(asyncio.gather(here, there), 5)
