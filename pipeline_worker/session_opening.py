"""Opens sessions of agents: new ones, and those that another pipeline worker had."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.echo_session import EchoSession
from pipeline_worker.engines.catalog import Engines
from pipeline_worker.media_link import MediaLink
from pipeline_worker.script_batch import RunsScripts
from pipeline_worker.session import ConversationSession
from pipeline_worker.settings import PipelineSettings
from pipeline_worker.speaking.voice import Patience
from pipeline_worker.telemetry.turn_meter import OnTurn
from pipeline_worker.tools.toolbox import Toolbox
from pipeline_worker.turns.memory import Past
from shared.agent import AgentDefinition
from shared.events import StartPipeline
from shared.io.broker import BROKER_FAILURES
from shared.io.heartbeat import wall_ms
from shared.io.logs import get_logger

_CLAIM_S = 3.0
"""After that the media worker asks for another pipeline worker."""
_RETRY_S = 0.2
_EXPIRY_S = 90
"""Of what is stored, renewed while the session lives. Another worker may take the session over for that time."""

OpenEngines = Callable[[str], Engines]
OpenToolbox = Callable[[str], Toolbox]
"""Take an agent's id."""

log = get_logger()


class Claimed(NamedTuple):
    """A session that is ours: its store, and what another worker left of it."""

    store: ConversationStore
    past: Past | None


class SessionOpening:
    """`agents` by id."""

    def __init__(
        self,
        settings: PipelineSettings,
        agents: Mapping[str, AgentDefinition],
        open_engines: OpenEngines,
        open_toolbox: OpenToolbox,
        scripts: RunsScripts,
    ) -> None:
        self.agents = agents
        self._settings = settings
        self._open_engines = open_engines
        self._open_toolbox = open_toolbox
        self._scripts = scripts

    async def claim(self, request: StartPipeline) -> Claimed | None:
        """None if another worker has taken the session over, or the broker is away."""
        store = ConversationStore(self._scripts, request.session, _EXPIRY_S, request.epoch)
        if not request.resumed or self.agents[request.agent_id].mode == "echo":
            return Claimed(store, None)
        try:
            async with asyncio.timeout(_CLAIM_S):
                past = await _past(store, request.session)
        except TimeoutError:
            return None
        if past is None:
            return None
        elapsed_s = max(0, wall_ms() - request.created_ms) / 1000 if request.created_ms else past.elapsed_s
        return Claimed(store, past._replace(elapsed_s=elapsed_s))

    def open(
        self, request: StartPipeline, link: MediaLink, claimed: Claimed, on_turn: OnTurn
    ) -> EchoSession | ConversationSession:
        """Raises `EngineError`."""
        agent = _limited(self.agents[request.agent_id], request.max_duration_s)
        store, past = claimed
        if past is not None:
            link.published = past.memory.published
        if agent.mode == "echo":
            return EchoSession(link)
        return ConversationSession(
            agent,
            self._open_engines(agent.id),
            link,
            store,
            self._settings.conversation_retention_s,
            Patience(engine_s=self._settings.pipeline_engine_timeout_s),
            self._open_toolbox(agent.id) if agent.tools else None,
            past,
            on_turn,
        )


async def _past(store: ConversationStore, session: str) -> Past | None:
    while True:
        try:
            return await store.claim()
        except BROKER_FAILURES as error:
            log.warning("session_not_claimed", session_id=session, error=str(error))
        await asyncio.sleep(_RETRY_S)


def _limited(agent: AgentDefinition, max_duration_s: int) -> AgentDefinition:
    """The agent, in a session that may be shorter than the agent allows."""
    if not 0 < max_duration_s < agent.limits.max_duration_s:
        return agent
    limits = agent.limits.model_copy(update={"max_duration_s": max_duration_s})
    return agent.model_copy(update={"limits": limits})
