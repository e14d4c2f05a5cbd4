import asyncio

from pipeline_worker.engines.catalog import Engines
from pipeline_worker.session_host import SessionHost
from pipeline_worker.settings import PipelineSettings
from pipeline_worker.tools.toolbox import Toolboxes
from shared import keys
from shared.agent import AgentDefinition
from shared.errors import EngineError
from shared.events import CallerConnected, EndSession, PipelineAttached, PublishEvent, SessionClosed, StartPipeline
from shared.io.broker import Redis
from tests.fakes.engines import FakeEngines
from tests.fakes.session_peer import SessionPeer

AGENTS = {
    agent.id: agent
    for agent in (
        AgentDefinition(id="echo", name="Echo", mode="echo"),
        AgentDefinition(id="front-desk", name="Front desk"),
        AgentDefinition(id="broken", name="Broken"),
    )
}


class SomeEnginesBroken(FakeEngines):
    def open(self, agent_id: str) -> Engines:
        if agent_id == "broken":
            raise EngineError("no such voice", code="engine_unavailable")
        return super().open(agent_id)


class Hosting:
    """A host whose messages go to `peer`."""

    def __init__(self, broker: Redis, **settings: object) -> None:
        self.engines = SomeEnginesBroken()
        self.peer = SessionPeer()
        values = PipelineSettings.model_validate(settings)
        self.host = SessionHost(
            "pipeline-1", values, AGENTS, self.engines.open, Toolboxes(AGENTS).open, broker, self.peer.send
        )

    def start(self, session: str, agent_id: str) -> asyncio.Task[None]:
        return asyncio.create_task(self.host.run(request(session, agent_id)))

    async def until_attached(self, *sessions: str) -> None:
        await self.peer.until(lambda: {item.session for item in self.peer.all(PipelineAttached)} == set(sessions))

    def ends(self) -> list[tuple[str, str]]:
        return [(end.session, end.reason) for end in self.peer.all(EndSession)]

    def errors(self) -> list[tuple[str, str]]:
        return [(event.session, event.fields["code"]) for event in self.peer.all(PublishEvent) if event.type == "error"]


def request(session: str, agent_id: str) -> StartPipeline:
    return StartPipeline(session=session, agent_id=agent_id, media_worker="media-1", epoch=1)


async def test_messages_reach_their_session(broker: Redis) -> None:
    hosting = Hosting(broker)
    tasks = [hosting.start("s1", "echo"), hosting.start("s2", "echo")]
    await hosting.until_attached("s1", "s2")
    hosting.host.dispatch([CallerConnected(session="s2"), CallerConnected(session="unknown")])
    assert [event.session for event in hosting.peer.all(PublishEvent)] == ["s2"]
    hosting.host.dispatch([SessionClosed(session="s1"), SessionClosed(session="s2")])
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    hosting.host.dispatch([CallerConnected(session="s2")])
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


async def test_a_session_that_breaks_breaks_no_other(broker: Redis) -> None:
    hosting = Hosting(broker)
    broken, whole = hosting.start("s1", "front-desk"), hosting.start("s2", "echo")
    await hosting.until_attached("s1", "s2")
    hosting.engines.vad.failure = EngineError("no model")
    frame = hosting.peer.next_frame()._replace(session="s1")
    hosting.host.dispatch([CallerConnected(session="s1"), frame])
    await asyncio.wait_for(broken, 5)
    assert hosting.errors() == [("s1", "engine_failed")]
    assert hosting.ends() == [("s1", "pipeline_error")]
    hosting.host.dispatch([frame._replace(session="s2"), SessionClosed(session="s2")])
    assert [item.session for item in hosting.peer.audio] == ["s2"]
    await asyncio.wait_for(whole, 5)


async def test_a_fault_in_taking_an_item_ends_its_session_only(broker: Redis) -> None:
    hosting = Hosting(broker)
    broken, whole = hosting.start("s1", "front-desk"), hosting.start("s2", "echo")
    await hosting.until_attached("s1", "s2")
    hosting.engines.vad.failure = ValueError("a mistake of ours")
    frame = hosting.peer.next_frame()
    hosting.host.dispatch([frame._replace(session="s1"), frame._replace(session="s2"), SessionClosed(session="s2")])
    await asyncio.wait_for(asyncio.gather(broken, whole), 5)
    assert hosting.errors() == [("s1", "pipeline_error")]
    assert hosting.ends() == [("s1", "pipeline_error")]
    assert [item.session for item in hosting.peer.audio] == ["s2"]


async def test_a_session_whose_media_worker_is_silent_is_freed(broker: Redis) -> None:
    hosting = Hosting(broker, pipeline_media_timeout_s=0.02)
    task, connecting = hosting.start("s1", "front-desk"), hosting.start("s2", "front-desk")
    await hosting.until_attached("s1", "s2")
    hosting.host.dispatch([CallerConnected(session="s1")])
    async with asyncio.timeout(5):
        while not task.done():
            hosting.host.end_abandoned()
            await asyncio.sleep(0.01)
    assert hosting.ends() == [("s1", "media_worker_gone")]
    assert not connecting.done()
    hosting.host.end_all("server_shutdown")
    await asyncio.wait_for(connecting, 5)
    assert await broker.keys(keys.conversation("*")) == []
