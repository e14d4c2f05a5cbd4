"""One conversation: wires the caller's audio, the turn taking, the engines and the agent's audio together."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, assert_never

from pipeline_worker.conversation_store import ConversationStore
from pipeline_worker.engines.catalog import Engines
from pipeline_worker.hearing.transcription import Transcription
from pipeline_worker.hearing.uplink import Uplink
from pipeline_worker.media_link import MediaLink
from pipeline_worker.recorder import Recorder
from pipeline_worker.speaking.downlink import Downlink
from pipeline_worker.speaking.spoken_text import recall
from pipeline_worker.speaking.voice import AgentVoice, Patience, VoiceOwner
from pipeline_worker.telemetry.turn_meter import OnTurn, TurnMeter
from pipeline_worker.tools.answers import Answers
from pipeline_worker.tools.toolbox import Toolbox
from pipeline_worker.turns.conversation import Utterance
from pipeline_worker.turns.events import (
    Action,
    CallerConnected,
    CancelReply,
    DiscardReply,
    DismissSpeech,
    DropUtterance,
    EndSession,
    FinalText,
    FinishUtterance,
    Input,
    InterimText,
    PauseSpeaking,
    PlayoutBegan,
    PrepareReply,
    PublishStatus,
    RecordAgent,
    RecordCaller,
    ReleaseReply,
    ResumeSpeaking,
    ResumeTurn,
    Say,
    StartReply,
    StopPressed,
    StopSpeaking,
    TextTyped,
)
from pipeline_worker.turns.memory import Memory, Past
from pipeline_worker.turns.recovery import taken_over
from pipeline_worker.turns.state import IllegalInput, State
from pipeline_worker.turns.table import TurnTaking
from shared import events
from shared.agent import AgentDefinition
from shared.errors import AntiphonError
from shared.frames import AudioFrame, SilenceRun
from shared.io.logs import get_logger
from shared.wire import Item

_SAVING_S = 1.0
"""How long a tool or a hand-over waits for the broker."""

_LOGGED: Mapping[type[Action], str] = {
    CancelReply: "agent_interrupted",
    StopSpeaking: "agent_interrupted",
    PauseSpeaking: "agent_paused",
    ResumeSpeaking: "agent_resumed",
}


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
        toolbox: Toolbox | None = None,
        past: Past | None = None,
        on_turn: OnTurn = lambda _: None,
    ) -> None:
        """`past`: another pipeline worker had the session."""
        self._link = link
        self._store = store
        self._retention_s = retention_s
        self._log = get_logger().bind(session_id=link.session, agent_id=agent.id)
        self._over = asyncio.Event()
        self._failure: Exception | None = None
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._past = past
        self._connected = False
        self._messages_lost = False
        self._leaving: asyncio.Task[None] | None = None
        self._drains = False
        self._recorder = Recorder(store, link)
        self._turns = TurnTaking(agent, past.memory if past is not None else None)
        self._meter = TurnMeter(agent.id, self._publish, on_turn)
        self._answers = Answers(engines.lm, toolbox, link.session, self._publish, self._recorder.record, self._save)
        self._transcription = Transcription(
            engines.stt, self._on_interim, self._on_final, self._on_engine_failure, link.session
        )
        self._interim_shown: InterimText | None = None
        self._uplink = Uplink(agent, engines.vad, self._transcription, self._turns, self._handle, self._fail, past)
        self._downlink = Downlink(link, engines.tts.sample_rate)
        owner = VoiceOwner(self._handle, self._on_engine_failure, self._spawn, store.change)
        self._voice = AgentVoice(agent, self._answers.reply, engines.tts, self._downlink, self._meter, owner, patience)
        store.watch(self._memory, self._on_superseded)

    @property
    def uplink_from(self) -> int | None:
        """From where on the caller's audio is to be repeated after a takeover."""
        return self._uplink.settled_up_to if self._past is not None else None

    async def run(self) -> None:
        """Returns when the session is over. Raises what breaks it."""
        try:
            async with self._tasks:
                self._spawn(self._transcription.run())
                self._spawn(self._store.run())
                await self._over.wait()
                for task in self._running:
                    task.cancel()
                if self._failure is not None:
                    raise self._failure
        finally:
            self._record_agent()
            self._uplink.close()
            await self._answers.close()
            await self._store.close(self._retention_s)

    def receive(self, item: Item) -> None:
        """Takes what the media worker sent. A fault ends the session: `run` raises it."""
        if self._over.is_set():
            return
        try:
            if type(item) is AudioFrame or type(item) is SilenceRun:  # hot path: cheaper than `isinstance`
                if item.epoch != self._link.epoch:
                    return
                if self._messages_lost and not self._connected:  # audio follows the message that was lost
                    self._connect(events.CallerConnected(session=item.session))
                self._uplink.take(item)
            else:
                self._take_message(item)
        except Exception as error:  # noqa: BLE001 - ends this session only; others have items in the same batch
            self._fail(error)

    def end(self, reason: str) -> None:
        if not self._over.is_set():
            self._link.end_session(reason)
            self._over.set()

    def suspend(self, unreachable: bool) -> None:
        """The media worker cannot be reached, or it can be again."""
        if unreachable:
            self._downlink.suspend()
        else:
            self._downlink.unsuspend()

    def on_messages_lost(self) -> None:
        """The media worker has sent what did not arrive."""
        self._messages_lost = True
        self._link.ask_for_texts()
        self._downlink.repeat_pause()
        if self._uplink.by_button:  # the release may be among it
            self._uplink.end_utterance()

    def leave(self, at_once: bool = False) -> None:
        """Let another worker take the session over as soon as nobody has the floor, or `at_once`."""
        self._drains = True
        listens = self._turns.state is State.LISTENING and self._turns.floor.caller.open_utterance is None
        if self._leaving is None and not self._over.is_set() and (at_once or listens):
            self._leaving = self._spawn(self._leave())

    def stay(self) -> None:
        """Undoes `leave`, unless another worker has the session already."""
        self._drains = False
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
            self._link.stay()

    async def _leave(self) -> None:
        await self._save()
        self._link.leave()

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._over.set()

    def _take_message(self, message: Item) -> None:
        match message:
            case events.PlayoutReported() as report:
                self._on_playout(report)
            case events.CallerConnected() as connected:
                self._connect(connected)
            case events.MediaAttached(session=session):
                self._uplink.restart()
                self._downlink.repeat()
                self._connect(events.CallerConnected(session=session))
                self._store.change()
                if self._leaving is not None and self._leaving.done():
                    self._link.leave()
            case events.EventsMissed(published=published):
                self._link.repeat(published)
                if self._leaving is not None:
                    self._link.leave()
            case events.TextReceived() as typed if self._link.is_new(typed) and typed.text.strip():
                self._handle(TextTyped(typed.text.strip()))
            case events.InterruptRequested():
                self._handle(StopPressed())
            case events.TalkChanged(pressed=True) if self._uplink.by_button:
                self._handle(StopPressed())
                self._uplink.press()
            case events.TalkChanged(pressed=False):
                self._uplink.release()
            case events.MuteChanged(muted=True):
                self._uplink.end_utterance()
            case events.SessionClosed(reason="replaced"):
                self._on_replaced()
            case events.SessionClosed(reason=reason):
                self._log.info("session_closed_by_media_worker", reason=reason)
                self._over.set()

    def _connect(self, connected: events.CallerConnected) -> None:
        if self._connected:
            return
        self._connected = True
        self._link.published = max(self._link.published, connected.published)
        if (past := self._past) is None:
            self._handle(CallerConnected())
            return
        self._recorder.catch_up(past, connected.published)
        turn = past.memory.turn
        heard, rest = recall(turn, connected.played_up_to) if turn is not None else ("", "")
        event = taken_over(past, heard, rest)
        if event.has_turn:
            self._voice.recall(heard, complete=not event.rest and turn is not None and not turn.interrupted)
        self._log.info("session_taken_over", entries=len(past.entries), heard=bool(heard), rest=bool(event.rest))
        self._handle(event)

    def _on_replaced(self) -> None:
        """Another worker has the session, and it alone speaks and writes."""
        self._log.info("session_replaced")
        self._store.abandon()
        self._link.silence()
        self._over.set()

    def _on_superseded(self) -> None:
        """Another worker writes the conversation. If it never attaches, the media worker asks for a third."""
        self._link.give_up()
        self._on_replaced()

    def _on_playout(self, report: events.PlayoutReported) -> None:
        heard_before = self._downlink.heard
        self._downlink.on_report(report)
        if report.at_unix_ms is not None:
            self._meter.first_packet_out(report.at_unix_ms / 1000)
        if self._downlink.heard and not heard_before:
            self._uplink.agent_began()
            self._handle(PlayoutBegan(self._uplink.position))
        if report.state != "flushed" and (text := self._voice.newly_heard()) is not None:
            self._link.publish("transcript-partial", role="agent", text=text)

    def _handle(self, event: Input) -> State:
        """Returns the state that the input leads to."""
        try:
            actions = self._turns.handle(event)
        except IllegalInput as error:
            self._log.warning("turn_input_illegal", error=error.message)
            return self._turns.state
        for action in actions:
            if (logged := _LOGGED.get(type(action))) is not None:
                self._log.info(logged, by=type(event).__name__)
            self._act(action)
        if actions:
            self._store.change(at_once=False)
        if self._drains:
            self.leave()
        return self._turns.state

    def _act(self, action: Action) -> None:
        match action:
            case PublishStatus(status):
                self._link.publish_status(status)
            case Say(text):
                self._voice.say(text)
            case ResumeTurn(text, answer):
                self._voice.resume(text, self._recorder.conversation.to_answer() if answer else None)
            case StartReply():
                self._voice.reply(self._recorder.conversation.to_answer())
            case PrepareReply(text):
                self._voice.reply((*self._recorder.conversation.entries, Utterance("user", text)), prepared=True)
            case ReleaseReply():
                self._meter.speculation(hit=True)
                self._voice.release()
            case DiscardReply():
                self._meter.speculation(hit=False)
                self._voice.cancel()
            case CancelReply():
                self._meter.turn_finished(interrupted=True)
                self._voice.cancel()
            case PauseSpeaking():
                self._downlink.pause()
                self._meter.paused()
            case ResumeSpeaking(over):
                self._downlink.resume()
                if not over:
                    self._meter.resumed()
            case StopSpeaking():
                self._voice.stop()
            case FinishUtterance(utterance):
                self._meter.speech_ended(self._uplink.speech_end)
                self._meter.endpoint_decided(self._uplink.position)
                self._transcription.finish(utterance)
            case DropUtterance(utterance):
                self._transcription.drop()
                self._uplink.settle(utterance)
            case DismissSpeech():
                self._meter.speech_dismissed()
            case RecordCaller(text):
                self._recorder.record(Utterance("user", text))
            case RecordAgent():
                self._record_agent()
            case EndSession(reason):
                self._log.info("session_ended_by_agent", reason=reason)
                self._link.end_session(reason, after_playout=True)
                self._over.set()
            case _:
                assert_never(action)

    async def _save(self) -> None:
        self._store.change()
        if not await self._store.saved(_SAVING_S):
            self._log.warning("session_not_saved")

    def _memory(self) -> Memory:
        if self._past is not None and not self._connected:
            return replace(self._past.memory, epoch=self._link.epoch)
        floor = self._turns.floor
        return Memory(
            epoch=self._link.epoch,
            uplink=self._uplink.settled_up_to,
            published=self._link.published,
            transcripts=self._recorder.published,
            prompts_said=floor.prompts_said,
            answered=floor.state is State.LISTENING and not floor.caller.unanswered,
            tools=self._answers.begun,
            waits_for_tools=self._answers.wait_for_tools,
            agent=floor.agent,
            turn=self._voice.memory(),
        )

    def _record_agent(self) -> None:
        heard = self._voice.end_turn()
        if heard is None:
            return
        self._store.change()
        self._meter.turn_finished(interrupted=not heard.complete)
        if heard.text:
            self._recorder.record(Utterance("agent", heard.text, interrupted=not heard.complete))

    def _publish(self, event_type: str, fields: Mapping[str, Any]) -> None:
        self._link.publish(event_type, **fields)

    def _on_interim(self, interim: InterimText) -> None:
        self._uplink.understood(interim)
        self._handle(interim)
        if self._turns.hears_caller and interim != self._interim_shown:
            self._interim_shown = interim
            self._link.publish("transcript-partial", role="user", text=interim.text)

    def _on_final(self, final: FinalText) -> None:
        self._meter.stt_final()
        self._handle(final)
        self._uplink.settle(final.utterance)

    def _on_engine_failure(self, error: AntiphonError) -> None:
        """The turn is lost, the session is not."""
        self._log.warning("engine_failed", code=error.code, error=error.message)
        self._link.publish_failure(error)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
