"""The agent's side of a session: its turns, begun, prepared, paused and stopped as turn taking asks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import NamedTuple, Protocol

from pipeline_worker.engines.protocols import Entry, Reply, TextToSpeech
from pipeline_worker.speaking.downlink import Downlink
from pipeline_worker.speaking.spoken_text import Heard
from pipeline_worker.speaking.turn import AgentTurn, TurnNews, given_up
from pipeline_worker.telemetry.turn_meter import TurnMeter
from pipeline_worker.turns.events import Input, PlayoutFinished, PlayoutFlushed, ReplyFinished, SpeechBegan
from pipeline_worker.turns.state import State
from shared.agent import AgentDefinition
from shared.errors import EngineError


class Patience(NamedTuple):
    """How long a session waits for others."""

    engine_s: float = 10.0
    flush_s: float = 1.0


class Answers(Protocol):
    """The language model, which may use tools once the turn is sure to come."""

    def __call__(self, conversation: Sequence[Entry], confirmed: asyncio.Event) -> AsyncIterator[Reply]: ...


class AgentVoice:
    """Tells `on_input`, which answers with the state of the floor, how its turn goes.

    `spawn` runs what it does, for as long as the session lives.
    """

    def __init__(
        self,
        answers: Answers,
        tts: TextToSpeech,
        downlink: Downlink,
        patience: Patience,
        agent: AgentDefinition,
        meter: TurnMeter,
        on_input: Callable[[Input], State],
        on_text: Callable[[str], None],
        on_failure: Callable[[EngineError], None],
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
    ) -> None:
        self._answers = answers
        self._tts = tts
        self._downlink = downlink
        self._patience = patience
        self._agent = agent
        self._meter = meter
        self._on_input = on_input
        self._on_text = on_text
        self._on_failure = on_failure
        self._spawn = spawn
        self._turn: AgentTurn | None = None
        self._speaking: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Words that need no thought."""
        turn = self._begin_turn(prepared=False, is_answer=False)
        self._start(turn, _said(text))

    def reply(self, conversation: Sequence[Entry], prepared: bool = False) -> None:
        """Answer `conversation`; a prepared answer is neither heard nor recorded before `release`."""
        turn = self._begin_turn(prepared)
        self._start(turn, self._answer(turn, conversation))

    def release(self) -> None:
        if self._turn is not None:
            self._turn.release()

    def cancel(self) -> None:
        """Give up a turn of which nothing was heard."""
        self._turn = None
        if self._speaking is not None:
            self._speaking.cancel()

    def pause(self) -> None:
        self._downlink.pause()

    def resume(self) -> None:
        self._downlink.resume()

    def stop(self) -> None:
        """Give the turn up; `PlayoutFlushed` follows when it is known what was heard of it."""
        if self._speaking is not None:
            self._speaking.cancel()
        self._spawn(self._silence())

    def on_playout(self) -> None:
        """The caller has heard more."""
        if self._turn is not None:
            self._turn.on_playout()

    def end_turn(self) -> Heard | None:
        """What was heard of the present turn, which is over."""
        turn, self._turn = self._turn, None
        return turn.heard() if turn is not None else None

    def _begin_turn(self, prepared: bool, is_answer: bool = True) -> AgentTurn:
        self._meter.reply_started(speculative=prepared, is_answer=is_answer)
        news = TurnNews(
            self._begin_speech,
            self._on_text,
            self._meter.llm_first_token,
            self._meter.tts_first_audio,
        )
        self._turn = AgentTurn(self._tts, self._downlink, self._agent.language, news, prepared)
        return self._turn

    def _begin_speech(self) -> None:
        self._on_input(SpeechBegan())

    def _start(self, turn: AgentTurn, replies: AsyncIterator[Reply]) -> None:
        self._speaking = self._spawn(self._speak(turn, replies, self._speaking))

    async def _speak(self, turn: AgentTurn, replies: AsyncIterator[Reply], previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait({previous}, timeout=self._patience.engine_s)  # it was cancelled: never two at once
        end_call = False
        try:
            end_call = await turn.speak(replies)
        except EngineError as error:
            await turn.released.wait()  # what fails unheard is nobody's business
            self._on_failure(error)
            with contextlib.suppress(EngineError):  # the voice may still have an apology in it
                await turn.add(self._agent.apology)
        if self._on_input(ReplyFinished(end_call)) in (State.SPEAKING, State.PAUSED):
            await self._downlink.finish()
            self._on_input(PlayoutFinished())

    async def _answer(self, turn: AgentTurn, conversation: Sequence[Entry]) -> AsyncIterator[Reply]:
        """The model's answer; where it fails, an apology."""
        try:
            async with given_up(self._answers(conversation, turn.released)) as replies:
                async for reply in replies:
                    yield reply
        except EngineError as error:
            await turn.released.wait()
            self._on_failure(error)
            yield Reply(f"\n{self._agent.apology}")

    async def _silence(self) -> None:
        await self._downlink.flush(self._patience.flush_s)
        self._on_input(PlayoutFlushed())


async def _said(text: str) -> AsyncIterator[Reply]:
    yield Reply(text)
