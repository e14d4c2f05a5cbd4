"""Sessions with fake engines and a connected caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.engines.protocols import Transcript
from pipeline_worker.media_link import MediaLink
from pipeline_worker.script_batch import ScriptBatch
from pipeline_worker.session import ConversationSession
from pipeline_worker.speaking.voice import Patience
from pipeline_worker.tools.toolbox import Toolbox, Toolboxes
from shared.agent import AgentDefinition, Greeting
from shared.audio import Pcm
from shared.errors import EngineError
from shared.events import (
    SessionClosed,
)
from shared.io.broker import Redis
from tests.fakes.engines import FakeEngines, FakeLm, FakeStt, FakeSttStream
from tests.fakes.session_peer import EPOCH, SESSION, SessionPeer

T = TypeVar("T")
AGENT = AgentDefinition(id="front-desk", name="Front desk")
GREETING = Greeting(text="Hello there.")
WORD = 4_000
PATIENCE = Patience(flush_s=5)


def session_of(
    peer: SessionPeer,
    engines: FakeEngines,
    broker: Redis,
    retention_s: int = 0,
    patience: Patience = PATIENCE,
    toolbox: Toolbox | None = None,
    **agent: Any,
) -> ConversationSession:
    definition = AGENT.model_copy(update=agent)
    link = MediaLink(peer.send, "media-1", SESSION, EPOCH)
    store = ConversationStore(ScriptBatch(broker), SESSION, 100)
    return ConversationSession(definition, engines.open(AGENT.id), link, store, retention_s, patience, toolbox)


async def taken_over(
    peer: SessionPeer, engines: FakeEngines, broker: Redis, toolbox: Toolbox | None = None, **agent: Any
) -> ConversationSession:
    """The session as the next worker opens it."""
    definition = AGENT.model_copy(update=agent)
    epoch = peer.epoch + 1
    store = ConversationStore(ScriptBatch(broker), SESSION, 100, epoch)
    past = await store.claim()
    assert past is not None
    link = MediaLink(peer.send, "media-1", SESSION, epoch, published=past.memory.published)
    return ConversationSession(definition, engines.open(AGENT.id), link, store, 0, PATIENCE, toolbox, past)


@asynccontextmanager
async def connected(
    engines: FakeEngines,
    broker: Redis,
    retention_s: int = 0,
    patience: Patience = PATIENCE,
    peer: SessionPeer | None = None,
    **agent: Any,
) -> AsyncIterator[SessionPeer]:
    """A session with a connected caller. On leaving, it hangs up and must have freed everything."""
    peer = peer or SessionPeer(engines.vad)
    toolboxes = Toolboxes({AGENT.id: AGENT.model_copy(update=agent)})
    await toolboxes.start()
    toolbox = toolboxes.open(AGENT.id) if "tools" in agent else None
    session = session_of(peer, engines, broker, retention_s, patience, toolbox, **agent)
    before = asyncio.all_tasks()
    running = asyncio.create_task(session.run())
    await asyncio.sleep(0)  # as with the session host, nothing arrives before it runs
    peer.connect(session)
    try:
        yield peer
    finally:
        if not running.done():
            peer.tell(SessionClosed(session=SESSION))
        async with asyncio.timeout(5):
            await running
        assert asyncio.all_tasks() <= before
        assert engines.vad.open_streams == 0
        assert engines.stt.open_streams == 0
        assert engines.lm.active == 0
        assert engines.lm.closed
        await toolboxes.close()


def engines_with(stt: FakeStt | None = None, lm: FakeLm | None = None) -> FakeEngines:
    engines = FakeEngines()
    engines.stt = stt or engines.stt
    engines.lm = lm or engines.lm
    return engines


class SlowStt(FakeStt):
    """Hears nothing before `may_hear`, and has no final text before `may_finish`."""

    def __init__(self, *texts: str | EngineError) -> None:
        super().__init__(*texts)
        self.may_hear, self.may_finish = asyncio.Event(), asyncio.Event()
        self.may_hear.set()
        self.may_finish.set()

    def open(self) -> FakeSttStream:
        self.open_streams += 1
        return SlowSttStream(self)


class SlowSttStream(FakeSttStream):
    def __init__(self, stt: SlowStt) -> None:
        super().__init__(stt, [])
        self._slow = stt

    async def push(self, samples: Pcm) -> Transcript | None:
        await self._slow.may_hear.wait()
        return await super().push(samples)

    async def finish(self) -> Transcript:
        await self._slow.may_finish.wait()
        return await super().finish()
