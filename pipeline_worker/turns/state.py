"""The state of turn taking. It is immutable: handlers return a new one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Concatenate, NamedTuple, ParamSpec

from pipeline_worker.turns.backchannels import BargeInWords
from pipeline_worker.turns.events import Action
from shared.agent import AgentDefinition
from shared.errors import AntiphonError

_P = ParamSpec("_P")

MAX_HELD_TEXTS = 20


class State(StrEnum):
    WAITING = "waiting"
    LISTENING = "listening"
    TRANSCRIBING = "transcribing"
    THINKING = "thinking"
    SPEAKING = "speaking"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    ENDED = "ended"


class IllegalInput(AntiphonError):
    """The input is impossible in the present state, which is unchanged."""

    code = "illegal_input"


@dataclass(frozen=True, slots=True)
class Awaited:
    """The utterance whose final text leads to a reply."""

    utterance: int
    sustained: bool
    """It was longer than a cough, so a reply follows even if no words were understood."""

    def is_cough(self, text: str) -> bool:
        return not text and not self.sustained


@dataclass(frozen=True, slots=True)
class CallerTurn:
    """What the caller is saying, and what of their speech is not yet decided or answered."""

    open_utterance: int | None = None
    """The number of the utterance that is going on."""
    sustained: bool = False
    """The open utterance, or else the last one, is longer than a cough."""
    interim: str = ""
    """The newest interim text."""
    undecided: frozenset[int] = frozenset()
    """Utterances over the agent that have ended. Their final texts tell barge-ins from backchannels."""
    awaited: Awaited | None = None
    unanswered: bool = False
    """Words were recorded since the last reply began, or that reply was cancelled."""

    def awaiting_undecided(self) -> "CallerTurn":
        """Final texts come in the order of their utterances, so the last one is awaited."""
        if not self.undecided:
            return self
        return replace(self, awaited=Awaited(max(self.undecided), sustained=True), undecided=frozenset())


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """The agent's present turn, or its last one."""

    interruptible: bool = True
    playout_began: int | None = None
    """The sample of the caller's audio at which the caller began to hear it."""
    complete: bool = False
    """All of its audio is on the way to the caller."""
    said_over: tuple[str, ...] = ()
    """What the caller said over it. It is recorded after the turn, so that the conversation stays in order."""
    end_reason: str | None = None
    """Why the session ends after it, if it does."""
    is_farewell: bool = False

    def hold(self, text: str) -> "AgentTurn":
        return replace(self, said_over=(*self.said_over, text)[-MAX_HELD_TEXTS:])


@dataclass(frozen=True, slots=True)
class Floor:
    """The state of turn taking in one session."""

    definition: AgentDefinition
    words: BargeInWords
    state: State = State.WAITING
    caller: CallerTurn = CallerTurn()
    agent: AgentTurn = AgentTurn()
    prepared: str | None = None
    """The caller's words that the prepared reply answers."""
    prompts_said: int = 0
    """Since the caller last spoke or typed."""

    @property
    def interruptible(self) -> bool:
        return self.definition.turn_taking.barge_in and self.agent.interruptible

    def with_caller(self, caller: CallerTurn) -> "Floor":
        return replace(self, caller=caller)

    def with_agent(self, agent: AgentTurn) -> "Floor":
        return replace(self, agent=agent)


class Outcome(NamedTuple):
    """The floor that an input leads to, and what to do, in order."""

    floor: Floor
    actions: tuple[Action, ...] = ()

    def then(self, step: Callable[Concatenate[Floor, _P], "Outcome"], *args: _P.args, **kwargs: _P.kwargs) -> "Outcome":
        floor, actions = step(self.floor, *args, **kwargs)
        return Outcome(floor, self.actions + actions)

    def do(self, *actions: Action) -> "Outcome":
        return Outcome(self.floor, self.actions + actions)
