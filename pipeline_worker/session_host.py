"""The sessions of this process. A failure of one does not affect the others."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter, Gauge

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.echo_session import EchoSession
from pipeline_worker.engines.catalog import Engines
from pipeline_worker.media_link import MediaLink, Send
from pipeline_worker.session import ConversationSession
from pipeline_worker.settings import PipelineSettings
from pipeline_worker.speaking.voice import Patience
from pipeline_worker.tools.toolbox import Toolbox
from shared.agent import AgentDefinition
from shared.errors import AntiphonError, leaves
from shared.events import StartPipeline
from shared.io.broker import Redis
from shared.io.logs import get_logger
from shared.wire import Item

_CONNECTING_S = 45.0
"""Nothing arrives before the caller is connected; a media worker gives up on them after 30 s."""
_EXPIRY_MARGIN_S = 60

_sessions = Gauge("antiphon_pipeline_sessions", "Sessions that run in this pipeline worker")
_ended = Counter("antiphon_pipeline_sessions_ended_total", "Sessions that have ended, by how", ["how"])
_unknown = Counter("antiphon_pipeline_unknown_session_total", "Items for sessions that do not run here")

log = get_logger()


class Session(Protocol):
    async def run(self) -> None: ...

    def receive(self, item: Item) -> None: ...

    def end(self, reason: str) -> None: ...


OpenEngines = Callable[[str], Engines]
OpenToolbox = Callable[[str], Toolbox]
"""Take an agent's id."""


@dataclass
class _Hosted:
    session: Session
    link: MediaLink
    silent_since: float
    heard: bool = False


class SessionHost:
    def __init__(
        self,
        worker_id: str,
        settings: PipelineSettings,
        agents: Mapping[str, AgentDefinition],
        open_engines: OpenEngines,
        open_toolbox: OpenToolbox,
        broker: Redis,
        send: Send,
    ) -> None:
        self._worker_id = worker_id
        self._settings = settings
        self._agents = agents
        self._open_engines = open_engines
        self._open_toolbox = open_toolbox
        self._broker = broker
        self._send = send
        self._hosted: dict[str, _Hosted] = {}

    def refusal(self, request: StartPipeline) -> str | None:
        """Why this session cannot run here, or None."""
        if request.agent_id not in self._agents:
            return f"unknown agent {request.agent_id}"
        if request.session in self._hosted:
            return "runs here already"
        return None

    async def run(self, request: StartPipeline) -> None:
        """Run one session from start to end. Raises nothing."""
        link = MediaLink(self._send, request.media_worker, request.session, request.epoch)
        how = "finished"
        try:
            session = self._open(self._agents[request.agent_id], link)
            self._hosted[request.session] = _Hosted(session, link, asyncio.get_running_loop().time())
            _sessions.set(len(self._hosted))
            link.attach(self._worker_id)
            log.info("session_started", session_id=link.session, agent_id=request.agent_id, epoch=link.epoch)
            await session.run()
        except Exception as error:
            how = "failed"
            log.exception("session_failed", session_id=link.session)
            _tell_failure(link, error)
        finally:
            self._hosted.pop(request.session, None)
            _sessions.set(len(self._hosted))
            _ended.labels(how).inc()
            log.info("session_freed", session_id=link.session, how=how)

    def dispatch(self, items: Iterable[Item]) -> None:
        """Hand each item to its session."""
        now = asyncio.get_running_loop().time()
        for item in items:
            hosted = self._hosted.get(item.session)
            if hosted is None:
                _unknown.inc()
                continue
            hosted.silent_since, hosted.heard = now, True
            try:
                hosted.session.receive(item)
            except Exception as error:
                log.exception("session_failed", session_id=item.session)
                _tell_failure(hosted.link, error)
                hosted.session.end("pipeline_error")

    def end_abandoned(self) -> None:
        """Call every second: ends sessions whose media worker has fallen silent."""
        now = asyncio.get_running_loop().time()
        for hosted in list(self._hosted.values()):
            patience_s = self._settings.pipeline_media_timeout_s if hosted.heard else _CONNECTING_S
            if now - hosted.silent_since > patience_s:
                log.warning("media_worker_gone", session_id=hosted.link.session, media_worker=hosted.link.media_worker)
                hosted.session.end("media_worker_gone")

    def end_all(self, reason: str) -> None:
        for hosted in list(self._hosted.values()):
            hosted.session.end(reason)

    def _open(self, agent: AgentDefinition, link: MediaLink) -> Session:
        if agent.mode == "echo":
            return EchoSession(link)
        return ConversationSession(
            agent,
            self._open_engines(agent.id),
            link,
            ConversationStore(self._broker, link.session, agent.limits.max_duration_s + _EXPIRY_MARGIN_S),
            self._settings.pipeline_conversation_retention_s,
            Patience(engine_s=self._settings.pipeline_engine_timeout_s),
            self._open_toolbox(agent.id) if agent.tools else None,
        )


def _tell_failure(link: MediaLink, error: Exception) -> None:
    known = next((leaf for leaf in leaves(error) if isinstance(leaf, AntiphonError)), None)
    if known is not None:
        link.publish_failure(known)
    else:
        link.publish_error("pipeline_error", "the agent failed; please call again")
    link.end_session("pipeline_error")
