"""One conversation: wires the caller's audio, the turn taking, the engines and the agent's audio together."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import NamedTuple, assert_never

from pipeline_worker.agent_turn import AgentTurn
from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.core.conversation import Conversation, Utterance
from pipeline_worker.core.turn_events import (
    Action,
    CallerConnected,
    CancelReply,
    DropUtterance,
    EndSession,
    FinalText,
    FinishUtterance,
    Input,
    PlayoutFinished,
    PlayoutFlushed,
    PublishStatus,
    RecordAgent,
    RecordCaller,
    ReplyFinished,
    SpeechBegan,
    StartGreeting,
    StartReply,
    StopPressed,
    StopSpeaking,
    TextTyped,
)
from pipeline_worker.core.turn_taking import IllegalInput, State, TurnTaking
from pipeline_worker.downlink import Downlink
from pipeline_worker.engines.catalog import Engines
from pipeline_worker.engines.protocols import Reply
from pipeline_worker.mailbox import Mailbox
from pipeline_worker.media_link import MediaLink
from pipeline_worker.transcription import Transcription
from pipeline_worker.uplink import Uplink
from shared import events
from shared.agent import AgentDefinition
from shared.errors import EngineError
from shared.frames import AudioFrame, SilenceRun
from shared.io.logs import get_logger
from shared.wire import Item


class Patience(NamedTuple):
    """How long a session waits for others."""

    engine_s: float = 10.0
    flush_s: float = 1.0


class ConversationSession:
    """`receive` takes what the media worker sends; `run` is the session's life."""

    def __init__(
        self,
        agent: AgentDefinition,
        engines: Engines,
        link: MediaLink,
        store: ConversationStore,
        retention_s: int = 0,
        patience: Patience = Patience(),  # noqa: B008 (immutable)
    ) -> None:
        self._agent = agent
        self._engines = engines
        self._link = link
        self._store = store
        self._retention_s = retention_s
        self._patience = patience
        self._log = get_logger().bind(session_id=link.session, agent_id=agent.id)
        self._mailbox = Mailbox()
        self._over = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._replying: asyncio.Task[None] | None = None
        self._turn: AgentTurn | None = None
        self._conversation = Conversation()
        self._turns = TurnTaking(agent)
        self._transcription = Transcription(
            engines.stt, patience.engine_s, self._on_interim, self._on_final, self._on_engine_failure
        )
        self._uplink = Uplink(agent, engines.vad, self._transcription, self._handle)
        self._downlink = Downlink(link, engines.tts.sample_rate)

    async def run(self) -> None:
        """Until the session is over. Raises what breaks it."""
        try:
            async with self._tasks:
                self._spawn(self._take_audio())
                self._spawn(self._take_messages())
                self._spawn(self._transcription.run())
                self._spawn(self._store.run())
                await self._over.wait()
                for task in self._running:
                    task.cancel()
        finally:
            self._record_agent()
            self._uplink.close()
            await self._engines.lm.close()
            await self._store.close(self._retention_s)

    def receive(self, item: Item) -> None:
        """Raises `PeerError` if the session is flooded."""
        if isinstance(item, AudioFrame | SilenceRun) and item.epoch != self._link.epoch:
            return
        self._mailbox.put(item)

    def end(self, reason: str) -> None:
        """Idempotent."""
        if not self._over.is_set():
            self._link.end_session(reason)
            self._over.set()

    async def _take_audio(self) -> None:
        while True:
            await self._uplink.take(await self._mailbox.next_audio())

    async def _take_messages(self) -> None:
        while True:
            match await self._mailbox.next_message():
                case events.PlayoutReported() as report:
                    self._downlink.on_report(report)
                    if self._turn is not None and report.state != "flushed":
                        self._turn.on_playout()
                case events.CallerConnected():
                    self._handle(CallerConnected())
                case events.TextReceived(text=text) if text.strip():
                    self._handle(TextTyped(text.strip()))
                case events.InterruptRequested():
                    self._handle(StopPressed())
                case events.SessionClosed(reason=reason):
                    self._log.info("session_closed_by_media_worker", reason=reason)
                    self._over.set()

    def _handle(self, event: Input) -> None:
        try:
            actions = self._turns.handle(event)
        except IllegalInput as error:
            self._log.warning("turn_input_illegal", error=error.message)
            return
        for action in actions:
            if isinstance(action, CancelReply | StopSpeaking):
                self._log.info("agent_interrupted", by=type(event).__name__)
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case PublishStatus(status):
                self._link.publish_status(status)
            case StartGreeting():
                self._start_turn(self._greeting())
            case StartReply():
                self._start_turn(self._engines.lm.reply(self._conversation.to_answer()))
            case CancelReply():
                self._cancel_reply()
                self._turn = None
            case StopSpeaking():
                self._cancel_reply()
                self._spawn(self._silence())
            case FinishUtterance(utterance):
                self._transcription.finish(utterance)
            case DropUtterance():
                self._transcription.drop()
            case RecordCaller(text):
                self._record(Utterance("user", text))
            case RecordAgent():
                self._record_agent()
            case EndSession(reason):
                self._log.info("session_ended_by_agent", reason=reason)
                self._link.end_session(reason, after_playout=True)
                self._over.set()
            case _:
                assert_never(action)

    def _start_turn(self, replies: AsyncIterator[Reply]) -> None:
        self._turn = AgentTurn(
            self._engines.tts,
            self._downlink,
            self._patience.engine_s,
            on_first_audio=lambda: self._handle(SpeechBegan()),
            on_text=lambda text: self._link.publish("transcript-partial", role="agent", text=text),
        )
        self._replying = self._spawn(self._reply(self._turn, replies, self._replying))

    async def _reply(self, turn: AgentTurn, replies: AsyncIterator[Reply], previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait({previous}, timeout=self._patience.engine_s)  # it was cancelled: never two at once
        end_call = False
        try:
            end_call = await turn.speak(replies)
        except EngineError as error:
            self._on_engine_failure(error)
        self._handle(ReplyFinished(end_call))
        if self._turns.state is State.SPEAKING:
            await self._downlink.finish()
            self._handle(PlayoutFinished())

    async def _greeting(self) -> AsyncIterator[Reply]:
        if self._agent.greeting is not None:
            yield Reply(self._agent.greeting.text)

    async def _silence(self) -> None:
        if not await self._downlink.flush(self._patience.flush_s):
            self._log.warning("flush_not_reported")
        self._handle(PlayoutFlushed())

    def _cancel_reply(self) -> None:
        if self._replying is not None:
            self._replying.cancel()

    def _record_agent(self) -> None:
        turn, self._turn = self._turn, None
        heard = turn.heard() if turn is not None else None
        if heard is not None and heard.text:
            self._record(Utterance("agent", heard.text, interrupted=not heard.complete))

    def _record(self, utterance: Utterance) -> None:
        self._conversation.add(utterance)
        self._store.add(utterance)
        marks = {"interrupted": True} if utterance.interrupted else {}
        self._link.publish("transcript", role=utterance.role, text=utterance.text, **marks)

    def _on_interim(self, text: str) -> None:
        if self._turns.hears_caller:
            self._link.publish("transcript-partial", role="user", text=text)

    def _on_final(self, utterance: int, text: str) -> None:
        self._handle(FinalText(utterance, text))

    def _on_engine_failure(self, error: EngineError) -> None:
        """The turn is lost, the session is not."""
        self._log.warning("engine_failed", code=error.code, error=error.message)
        self._link.publish_error(error.code, error.message)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
