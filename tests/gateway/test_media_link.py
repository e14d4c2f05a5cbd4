import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.core.signaling_events import Heard, MediaWorkerBack, MediaWorkerLost, MessagesLost
from gateway.media_link import Mail, Mailbox, MediaLink
from shared.events import CloseSession, OfferAnswered, OpenSession, SessionClosed
from shared.io.broker import Redis, connect, connect_blocking
from tests.fakes.flaky_broker import FlakyBroker
from tests.fakes.media_worker import FakeMediaWorker

LOST_AFTER_S = 1.0


def opening(session: str) -> OpenSession:
    return OpenSession(session=session, gateway="gateway-1", agent_id="echo", sdp="v=0")


@asynccontextmanager
async def running_link(broker_url: str) -> AsyncIterator[MediaLink]:
    client, blocking = connect(broker_url), connect_blocking(broker_url)
    link = MediaLink("gateway-1", client, blocking, LOST_AFTER_S)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        yield link
        running.cancel()
    await client.aclose()
    await blocking.aclose()


async def first_of(mailbox: Mailbox) -> Mail:
    async with asyncio.timeout(5):
        async for mail in mailbox:
            return mail
    raise AssertionError("the mailbox ended")


async def test_an_offer_goes_out_and_its_answer_comes_back(broker: Redis, broker_url: str) -> None:
    async with FakeMediaWorker(broker_url).running() as worker, running_link(broker_url) as link:
        mailbox, other = Mailbox(), Mailbox()
        link.attach("s1", mailbox)
        link.attach("s2", other)
        link.send("media-1", opening("s1"))
        assert await first_of(mailbox) == Heard("media-1", OfferAnswered(session="s1", sdp="answer to v=0"))
        link.detach("s1", mailbox)
        worker.tell_gateway(SessionClosed(session="s1"))  # for no connection; ignored
        link.send("media-1", opening("s2"))
        assert await first_of(other) == Heard("media-1", OfferAnswered(session="s2", sdp="answer to v=0"))


async def test_a_session_belongs_to_its_newest_connection(broker: Redis, broker_url: str) -> None:
    async with FakeMediaWorker(broker_url).running(), running_link(broker_url) as link:
        old, new = Mailbox(), Mailbox()
        link.attach("s1", old)
        link.watch("s1", "media-1", old)
        link.attach("s1", new)
        assert await first_of(old) == Heard("media-1", SessionClosed(session="s1", reason="replaced"))
        link.detach("s1", old)
        link.send("media-1", opening("s1"))
        assert await first_of(new) == Heard("media-1", OfferAnswered(session="s1", sdp="answer to v=0"))


async def test_a_media_worker_that_dies_is_noticed(broker: Redis, broker_url: str) -> None:
    clock = asyncio.get_running_loop().time
    async with FakeMediaWorker(broker_url).running() as worker, running_link(broker_url) as link:
        mailbox = Mailbox()
        link.attach("s1", mailbox)
        link.send("media-1", opening("s1"))
        await first_of(mailbox)
        link.watch("s1", "media-1", mailbox)
        await asyncio.sleep(LOST_AFTER_S + 0.6)
        assert not link.lost, "it is heard although it has nothing to say"
        died_at_s = clock()
        worker.die()
        assert await first_of(mailbox) == MediaWorkerLost("media-1")
        assert LOST_AFTER_S - 0.6 < clock() - died_at_s < LOST_AFTER_S + 1
        assert set(link.lost) == {"media-1"}


async def test_a_connection_learns_that_messages_of_its_media_worker_were_lost(broker: Redis, broker_url: str) -> None:
    async with FakeMediaWorker(broker_url).running() as worker, running_link(broker_url) as link:
        mailbox = Mailbox()
        link.attach("s1", mailbox)
        link.send("media-1", opening("s1"))
        await first_of(mailbox)
        link.watch("s1", "media-1", mailbox)
        worker.lose_a_batch("gateway-1")
        assert await first_of(mailbox) == MessagesLost("media-1")


async def test_a_client_with_two_connections_brought_the_gateway_down(broker: Redis, broker_url: str) -> None:
    """One was replaced before its answer came. When its media worker was lost, nobody was there to be told."""
    async with FakeMediaWorker(broker_url).running(), running_link(broker_url) as link:
        old, new = Mailbox(), Mailbox()
        link.attach("s1", old)
        link.attach("s1", new)
        link.detach("s1", new)
        link.watch("s1", "media-1", old)
        link.doubt("media-1")
        link.attach("s2", new)
        link.send("media-1", opening("s2"))
        assert await first_of(new) == Heard("media-1", OfferAnswered(session="s2", sdp="answer to v=0"))


async def test_a_media_worker_without_a_session_here_may_be_silent(broker: Redis, broker_url: str) -> None:
    async with FakeMediaWorker(broker_url).running() as worker, running_link(broker_url) as link:
        mailbox = Mailbox()
        link.attach("s1", mailbox)
        link.send("media-1", opening("s1"))
        await first_of(mailbox)
        worker.die()
        await asyncio.sleep(LOST_AFTER_S + 0.6)
        link.watch("s1", "media-1", mailbox)
        await asyncio.sleep(LOST_AFTER_S / 2)
        assert not link.lost, "what it did not say before does not count"


async def test_a_media_worker_whose_new_caller_never_connected_may_be_silent(broker: Redis, broker_url: str) -> None:
    async with FakeMediaWorker(broker_url).running() as worker, running_link(broker_url) as link:
        mailbox = Mailbox()
        link.attach("s1", mailbox)
        link.send("media-1", opening("s1"))
        await first_of(mailbox)
        link.watch("s1", "media-1", mailbox)
        worker.tell_gateway(SessionClosed(session="s1", reason="connect_timeout"))
        await first_of(mailbox)
        worker.die()
        await asyncio.sleep(LOST_AFTER_S + 0.6)
        assert not link.lost


async def test_a_doubtful_media_worker_is_trusted_when_it_is_heard(broker: Redis, broker_url: str) -> None:
    async with FakeMediaWorker(broker_url).running(), running_link(broker_url) as link:
        mailbox = Mailbox()
        link.attach("s1", mailbox)
        link.watch("s1", "media-1", mailbox)
        link.doubt("media-1")
        link.send("media-1", opening("s1"))
        assert await first_of(mailbox) == MediaWorkerBack("media-1")
        assert not link.lost


async def test_queued_messages_are_written_on_close(broker: Redis, broker_url: str) -> None:
    async with FakeMediaWorker(broker_url).running() as worker:
        async with running_link(broker_url) as link:
            pass
        client, blocking = connect(broker_url), connect_blocking(broker_url)
        link = MediaLink("gateway-1", client, blocking)
        link.send("media-1", CloseSession(session="s1"))
        await link.close()
        assert await worker.wait_for(CloseSession) == CloseSession(session="s1")
        await client.aclose()
        await blocking.aclose()


async def test_a_close_queued_at_stop_reaches_the_media_worker_despite_a_slow_broker(
    broker: Redis, broker_url: str
) -> None:
    async with FakeMediaWorker(broker_url).running() as worker, FlakyBroker(broker_url).running() as flaky:
        client, blocking = connect(flaky.url), connect_blocking(flaky.url)
        link = MediaLink("gateway-1", client, blocking)
        running = asyncio.create_task(link.run())
        flaky.becomes("is away")
        link.send("media-1", opening("s1"))
        async with asyncio.timeout(5):
            await flaky.refused.wait()
        link.send("media-1", CloseSession(session="s1"))
        running.cancel()
        await asyncio.wait({running})
        flaky.becomes("works")
        await link.close()
        assert await worker.wait_for(CloseSession) == CloseSession(session="s1")
        await client.aclose()
        await blocking.aclose()


async def test_the_broker_is_away() -> None:
    away = connect("redis://127.0.0.1:1/0")
    link = MediaLink("gateway-1", away, away)
    link.send("media-1", CloseSession(session="s1"))
    await link.close()
    await away.aclose()


async def test_a_full_mailbox_ends_after_the_mail_that_fitted() -> None:
    mailbox = Mailbox(size=2)
    for number in range(5):
        mailbox.put(MediaWorkerLost(f"m{number}"))
    assert [mail async for mail in mailbox] == [MediaWorkerLost("m0"), MediaWorkerLost("m1")]
