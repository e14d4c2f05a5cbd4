import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.media_link import Mailbox, MediaLink
from shared import keys
from shared.agent import AgentDefinition
from shared.errors import BrokerError
from shared.events import CloseSession, Message, OfferAnswered, OpenSession, SessionClosed, StartPipeline
from shared.io.broker import Redis, connect, connect_blocking
from tests.fakes.flaky_broker import FlakyBroker
from tests.fakes.media_worker import FakeMediaWorker, jobs_of

AGENT = AgentDefinition(id="echo", name="Echo", mode="echo", pool="gpu")


@asynccontextmanager
async def running_link(broker_url: str) -> AsyncIterator[MediaLink]:
    client, blocking = connect(broker_url), connect_blocking(broker_url)
    link = MediaLink("gateway-1", client, blocking)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        yield link
        running.cancel()
    await client.aclose()
    await blocking.aclose()


async def first_of(mailbox: Mailbox) -> Message:
    async with asyncio.timeout(5):
        async for message in mailbox:
            return message
    raise AssertionError("the mailbox ended")


async def test_an_offer_goes_out_and_its_answer_comes_back(broker: Redis, broker_url: str) -> None:
    async with FakeMediaWorker(broker_url).running() as worker, running_link(broker_url) as link:
        mailbox, other = Mailbox(), Mailbox()
        link.attach("s1", mailbox)
        link.attach("s2", other)
        link.send("media-1", OpenSession(session="s1", gateway="gateway-1", agent_id="echo", sdp="v=0"))
        assert await first_of(mailbox) == OfferAnswered(session="s1", sdp="answer to v=0")
        link.detach("s1")
        worker.tell_gateway(SessionClosed(session="s1"))  # for no connection; ignored
        link.send("media-1", OpenSession(session="s2", gateway="gateway-1", agent_id="echo", sdp="v=0"))
        assert (await first_of(other)).session == "s2"


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
        link.send("media-1", OpenSession(session="s1", gateway="gateway-1", agent_id="echo", sdp="v=0"))
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


async def test_a_pipeline_worker_is_requested(broker: Redis, broker_url: str) -> None:
    link = MediaLink("gateway-1", broker, broker)
    await link.request_pipeline("s1", AGENT, "media-1")
    record = await broker.hgetall(keys.session("s1"))
    assert {name: value for name, value in record.items() if name != b"created"} == {
        b"agent": b"echo",
        b"state": b"open",
        b"media_worker": b"media-1",
        b"gateway": b"gateway-1",
        b"epoch": b"1",
    }
    assert await broker.ttl(keys.session("s1")) > AGENT.limits.max_duration_s
    [job] = await jobs_of(broker, "gpu")
    assert job == StartPipeline(session="s1", agent_id="echo", media_worker="media-1")
    await link.forget("s1")
    assert await broker.exists(keys.session("s1")) == 0


async def test_the_broker_is_away() -> None:
    away = connect("redis://127.0.0.1:1/0")
    link = MediaLink("gateway-1", away, away)
    with pytest.raises(BrokerError):
        await link.request_pipeline("s1", AGENT, "media-1")
    link.send("media-1", CloseSession(session="s1"))
    await link.close()
    await link.forget("s1")
    await away.aclose()


async def test_a_full_mailbox_ends_after_the_messages_that_fitted() -> None:
    mailbox = Mailbox(size=2)
    for number in range(5):
        mailbox.put(CloseSession(session=f"s{number}"))
    assert [message.session async for message in mailbox] == ["s0", "s1"]
