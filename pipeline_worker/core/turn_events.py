"""What turn taking hears of (inputs: past facts) and what it asks for (actions: imperatives)."""

from dataclasses import dataclass
from typing import TypeAlias

from pipeline_worker.core.endpointing import UtteranceEnded
from pipeline_worker.core.talkspurts import SpeechSustained
from shared.events import StatusWord


@dataclass(frozen=True, slots=True)
class CallerConnected:
    """Media flows."""


@dataclass(frozen=True, slots=True)
class FinalText:
    """What the utterance said: empty if it was not understood."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class TextTyped:
    text: str


@dataclass(frozen=True, slots=True)
class StopPressed:
    pass


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The first audio of the reply is on its way to the caller."""


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """All of the reply is on its way to the caller. `end_call`: the agent has no more to say."""

    end_call: bool = False


@dataclass(frozen=True, slots=True)
class PlayoutFinished:
    """The caller has heard all of it."""


@dataclass(frozen=True, slots=True)
class PlayoutFlushed:
    """The interrupted agent is silent, and it is known what was heard."""


@dataclass(frozen=True, slots=True)
class TimeExceeded:
    """The session has lasted as long as it may."""


Input: TypeAlias = (
    CallerConnected
    | SpeechSustained
    | UtteranceEnded
    | FinalText
    | TextTyped
    | StopPressed
    | SpeechBegan
    | ReplyFinished
    | PlayoutFinished
    | PlayoutFlushed
    | TimeExceeded
)


@dataclass(frozen=True, slots=True)
class PublishStatus:
    status: StatusWord


@dataclass(frozen=True, slots=True)
class StartGreeting:
    pass


@dataclass(frozen=True, slots=True)
class StartReply:
    """Answer the conversation. There is never another reply."""


@dataclass(frozen=True, slots=True)
class CancelReply:
    """Nothing of it was heard."""


@dataclass(frozen=True, slots=True)
class StopSpeaking:
    """Give the reply up, silence what is queued, and tell what was heard by `PlayoutFlushed`."""


@dataclass(frozen=True, slots=True)
class FinishUtterance:
    """Ask for its `FinalText`."""

    utterance: int


@dataclass(frozen=True, slots=True)
class DropUtterance:
    utterance: int


@dataclass(frozen=True, slots=True)
class RecordCaller:
    """The caller said or typed this."""

    text: str


@dataclass(frozen=True, slots=True)
class RecordAgent:
    """The agent's turn is over: what was heard of it goes into the conversation."""


@dataclass(frozen=True, slots=True)
class EndSession:
    reason: str


Action: TypeAlias = (
    PublishStatus
    | StartGreeting
    | StartReply
    | CancelReply
    | StopSpeaking
    | FinishUtterance
    | DropUtterance
    | RecordCaller
    | RecordAgent
    | EndSession
)
