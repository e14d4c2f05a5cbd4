import asyncio

from shared.errors import EngineError
from shared.events import CallerConnected, PublishEvent, SessionClosed
from shared.io.broker import Redis
from tests.pipeline_worker.hosting import Hosting, request


async def test_messages_reach_their_session(broker: Redis) -> None:
    hosting = Hosting(broker)
    tasks = [hosting.start("s1", "echo"), hosting.start("s2", "echo")]
    await hosting.until_attached("s1", "s2")
    hosting.tell(CallerConnected(session="s2"), CallerConnected(session="unknown"))
    assert [event.session for event in hosting.peer.all(PublishEvent)] == ["s2"]
    hosting.tell(SessionClosed(session="s1"), SessionClosed(session="s2"))
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    hosting.tell(CallerConnected(session="s2"))
    assert len(hosting.peer.all(PublishEvent)) == 1


async def test_a_session_that_cannot_run_here_is_refused_with_the_reason(broker: Redis) -> None:
    hosting = Hosting(broker)
    task = hosting.start("s1", "echo")
    await hosting.until_attached("s1")
    assert hosting.host.refusal(request("s2", "echo")) is None
    assert hosting.host.refusal(request("s2", "nobody")) == "unknown agent nobody"
    assert hosting.host.refusal(request("s1", "echo")) == "runs here already"
    hosting.host.end_all("server_shutdown")
    await asyncio.wait_for(task, 5)
    assert hosting.host.refusal(request("s1", "echo")) is None


async def test_a_session_whose_engines_cannot_be_opened_ends_with_their_error(broker: Redis) -> None:
    hosting = Hosting(broker)
    await asyncio.wait_for(hosting.start("s1", "broken"), 5)
    assert hosting.errors() == [("s1", "engine_unavailable")]
    assert hosting.ends() == [("s1", "pipeline_error")]


async def test_a_worker_that_cannot_open_the_engines_does_not_end_a_call_that_it_would_take_over(
    broker: Redis,
) -> None:
    hosting = Hosting(broker)
    await asyncio.wait_for(hosting.start("s1", "broken", epoch=2, resumed=True), 5)
    assert hosting.peer.sent == []


async def test_a_session_that_breaks_breaks_no_other(broker: Redis) -> None:
    hosting = Hosting(broker)
    broken, whole = hosting.start("s1", "front-desk"), hosting.start("s2", "echo")
    await hosting.until_attached("s1", "s2")
    hosting.engines.vad.failure = EngineError("no model")
    frame = hosting.peer.next_frame()._replace(session="s1")
    hosting.tell(CallerConnected(session="s1"), frame)
    await asyncio.wait_for(broken, 5)
    assert hosting.errors() == [("s1", "engine_failed")]
    assert hosting.ends() == [("s1", "pipeline_error")]
    hosting.tell(frame._replace(session="s2"), SessionClosed(session="s2"))
    assert [item.session for item in hosting.peer.audio] == ["s2"]
    await asyncio.wait_for(whole, 5)


async def test_a_fault_in_taking_an_item_ends_its_session_only(broker: Redis) -> None:
    hosting = Hosting(broker)
    broken, whole = hosting.start("s1", "front-desk"), hosting.start("s2", "echo")
    await hosting.until_attached("s1", "s2")
    hosting.engines.vad.failure = ValueError("a mistake of ours")
    frame = hosting.peer.next_frame()
    hosting.tell(frame._replace(session="s1"), frame._replace(session="s2"), SessionClosed(session="s2"))
    await asyncio.wait_for(asyncio.gather(broken, whole), 5)
    assert hosting.errors() == [("s1", "pipeline_error")]
    assert hosting.ends() == [("s1", "pipeline_error")]
    assert [item.session for item in hosting.peer.audio] == ["s2"]
