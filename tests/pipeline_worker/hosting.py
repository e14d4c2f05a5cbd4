"""A session host whose media workers are in memory."""

import asyncio

from pipeline_worker.engines.catalog import Engines
from pipeline_worker.session_host import SessionHost
from pipeline_worker.settings import PipelineSettings
from pipeline_worker.tools.toolbox import Toolboxes
from shared.agent import AgentDefinition
from shared.errors import EngineError
from shared.events import EndSession, PipelineAttached, PublishEvent, StartPipeline
from shared.io.broker import Redis
from shared.io.inbox import Received
from shared.liveness import TOUCH_INTERVAL_S, Liveness
from shared.wire import Item
from tests.fakes.engines import FakeEngines
from tests.fakes.session_peer import SessionPeer

MEDIA = "media-1"

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
        self.touched: list[str] = []
        self.liveness = Liveness()
        values = PipelineSettings.model_validate(settings)
        self.host = SessionHost(
            "pipeline-1",
            values,
            AGENTS,
            self.engines.open,
            Toolboxes(AGENTS).open,
            broker,
            self.peer.send,
            self.touched.append,
            self.liveness,
        )

    def start(self, session: str, agent_id: str, **fields: object) -> asyncio.Task[None]:
        return asyncio.create_task(self.host.run(request(session, agent_id, **fields)))

    def tell(self, *items: Item, sender: str = MEDIA, follows_gap: bool = False) -> None:
        self.host.dispatch(Received(sender, list(items), follows_gap))

    async def pass_time(self, seconds: float, *speaking: str, reads: bool = True) -> None:
        """The media workers `speaking` are heard meanwhile. Without `reads` the broker does not answer."""
        loop = asyncio.get_running_loop()
        for _ in range(round(seconds / TOUCH_INTERVAL_S)):
            await asyncio.sleep(TOUCH_INTERVAL_S)
            if reads:
                self.liveness.on_read(loop.time())
                for media_worker in speaking:
                    self.liveness.on_heard(media_worker)
            self.host.tend()

    async def until_attached(self, *sessions: str) -> None:
        await self.peer.until(lambda: {item.session for item in self.peer.all(PipelineAttached)} == set(sessions))

    def ends(self) -> list[tuple[str, str]]:
        return [(end.session, end.reason) for end in self.peer.all(EndSession)]

    def errors(self) -> list[tuple[str, str]]:
        return [(event.session, event.fields["code"]) for event in self.peer.all(PublishEvent) if event.type == "error"]


def request(session: str, agent_id: str, **fields: object) -> StartPipeline:
    return StartPipeline.model_validate(
        {"session": session, "agent_id": agent_id, "media_worker": MEDIA, "epoch": 1, **fields}
    )
