"""The agent's voice: begins, prepares and stops turns as turn taking decides."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import NamedTuple

from pipeline_worker.engines.protocols import Entry, Reply, TextToSpeech
from pipeline_worker.speaking.downlink import Downlink, PlayoutStalled
from pipeline_worker.speaking.spoken_text import Heard
from pipeline_worker.speaking.spoken_turn import SpokenTurn
from pipeline_worker.telemetry.turn_meter import TurnMeter
from pipeline_worker.turns.events import Input, PlayoutFinished, PlayoutFlushed, ReplyFinished, SpeechBegan
from pipeline_worker.turns.memory import TurnMemory
from pipeline_worker.turns.state import State
from shared.agent import AgentDefinition
from shared.errors import AntiphonError, EngineError

Answer = Callable[[Sequence[Entry], asyncio.Event], AsyncGenerator[Reply, None]]
"""The language model's answer to a conversation. Tools may run once the event is set: the turn is then certain."""


class Patience(NamedTuple):
    """How long a session waits for others."""

    engine_s: float = 10.0
    flush_s: float = 1.0


class VoiceOwner(NamedTuple):
    """The session that a voice belongs to."""

    on_input: Callable[[Input], State]
    """Turn taking: returns the state that an input leads to."""
    on_failure: Callable[[AntiphonError], None]
    spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
    """Runs work for as long as the session lives."""
    on_progress: Callable[[bool], object] = lambda at_once: None
    """The turn's memory has changed; `at_once`: it is to be saved at once."""


class AgentVoice:
    """Reports the progress of the present turn to its owner."""

    def __init__(
        self,
        agent: AgentDefinition,
        answer: Answer,
        tts: TextToSpeech,
        downlink: Downlink,
        meter: TurnMeter,
        owner: VoiceOwner,
        patience: Patience,
    ) -> None:
        self._agent = agent
        self._answer = answer
        self._tts = tts
        self._downlink = downlink
        self._meter = meter
        self._owner = owner
        self._patience = patience
        self._turn: SpokenTurn | None = None
        self._speaking: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Speak a fixed text."""
        turn = self._begin_turn(prepared=False, is_answer=False)
        self._start(turn, _fixed(text))

    def reply(self, conversation: Sequence[Entry], prepared: bool = False) -> None:
        """Answer `conversation`. A prepared answer is neither heard nor recorded before `release`."""
        turn = self._begin_turn(prepared)
        self._start(turn, self._answer_or_apology(turn, conversation))

    def recall(self, heard: str, complete: bool) -> None:
        """The present turn is one of which another worker was `heard`. It ends, or `resume` continues it."""
        self._turn = self._new_turn(before=heard)
        if complete:
            self._turn.conclude()

    def resume(self, text: str, conversation: Sequence[Entry] | None) -> None:
        """Continue the recalled turn with `text`, and then with the answer to `conversation`."""
        before = self._turn.heard().text if self._turn is not None else ""
        turn = self._begin_turn(prepared=False, is_answer=conversation is not None, before=before)
        self._start(turn, self._resumed(turn, text, conversation))

    def release(self) -> None:
        if self._turn is not None:
            self._turn.released.set()

    def cancel(self) -> None:
        """Drop a turn of which nothing was heard."""
        self._turn = None
        if self._speaking is not None:
            self._speaking.cancel()

    def stop(self) -> None:
        """Drop the turn. `PlayoutFlushed` follows when it is known what was heard of it."""
        if self._turn is not None:
            self._turn.interrupted = True
            self._owner.on_progress(True)
        if self._speaking is not None:
            self._speaking.cancel()
        self._owner.spawn(self._silence())

    def newly_heard(self) -> str | None:
        """The words of the turn that were heard so far, if there are more than at the last call."""
        return self._turn.newly_heard() if self._turn is not None else None

    def memory(self) -> TurnMemory | None:
        """The present turn, unless it is only prepared."""
        return self._turn.memory() if self._turn is not None and self._turn.released.is_set() else None

    def end_turn(self) -> Heard | None:
        """End the present turn. Returns what was heard of it."""
        turn, self._turn = self._turn, None
        return turn.heard() if turn is not None else None

    def _begin_turn(self, prepared: bool, is_answer: bool = True, before: str = "") -> SpokenTurn:
        self._meter.reply_started(speculative=prepared, is_answer=is_answer)
        self._turn = self._new_turn(prepared, is_answer, before)
        return self._turn

    def _new_turn(self, prepared: bool = False, is_answer: bool = True, before: str = "") -> SpokenTurn:
        return SpokenTurn(
            self._tts,
            self._downlink,
            self._agent.language,
            self._meter,
            on_first_audio=lambda: self._owner.on_input(SpeechBegan()),
            prepared=prepared,
            is_answer=is_answer,
            before=before,
            on_progress=self._owner.on_progress,
        )

    def _start(self, turn: SpokenTurn, replies: AsyncGenerator[Reply, None]) -> None:
        self._speaking = self._owner.spawn(self._speak(turn, replies, self._speaking))

    async def _speak(
        self, turn: SpokenTurn, replies: AsyncGenerator[Reply, None], previous: asyncio.Task[None] | None
    ) -> None:
        if previous is not None:
            await asyncio.wait({previous}, timeout=self._patience.engine_s)  # was cancelled: two never speak at once
        end_call = stalled = False
        try:
            end_call = await self._say_all(turn, replies)
        except PlayoutStalled as error:
            stalled = True
            self._owner.on_failure(error)
            await self._downlink.flush(self._patience.flush_s)
        if self._owner.on_input(ReplyFinished(end_call)) in (State.SPEAKING, State.PAUSED):
            if not stalled:
                await self._downlink.finish()
            self._owner.on_input(PlayoutFinished())

    async def _say_all(self, turn: SpokenTurn, replies: AsyncGenerator[Reply, None]) -> bool:
        try:
            return await turn.speak(replies)
        except EngineError as error:
            await turn.released.wait()  # the failure of a discarded reply is not reported
            self._owner.on_failure(error)
            with contextlib.suppress(EngineError):  # the voice may still manage an apology
                await turn.add(self._agent.apology)
            return False

    async def _answer_or_apology(self, turn: SpokenTurn, conversation: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        try:
            async with aclosing(self._answer(conversation, turn.released)) as replies:
                async for reply in replies:
                    yield reply
        except EngineError as error:
            await turn.released.wait()
            self._owner.on_failure(error)
            yield Reply(f"\n{self._agent.apology}")

    async def _resumed(
        self, turn: SpokenTurn, text: str, conversation: Sequence[Entry] | None
    ) -> AsyncGenerator[Reply, None]:
        yield Reply(f"{text}\n")
        if conversation is not None:
            async with aclosing(self._answer_or_apology(turn, conversation)) as replies:
                async for reply in replies:
                    yield reply

    async def _silence(self) -> None:
        await self._downlink.flush(self._patience.flush_s)
        self._owner.on_input(PlayoutFlushed())


async def _fixed(text: str) -> AsyncGenerator[Reply, None]:
    yield Reply(text)
