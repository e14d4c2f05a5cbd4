"""What turn taking hears of (inputs: past facts) and what it asks for (actions: imperatives)."""

from dataclasses import dataclass
from typing import TypeAlias

from shared.events import StatusWord


@dataclass(frozen=True, slots=True)
class CallerConnected:
    """Media flows."""


@dataclass(frozen=True, slots=True)
class UtteranceStarted:
    """Utterances are numbered from 1."""

    utterance: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class SpeechSustained:
    """The talkspurt has lasted long enough to be more than a cough. At most once in each."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class SpeechProlonged:
    """The talkspurt has lasted longer than a backchannel does. At most once in each, after `SpeechSustained`."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class EndLikely:
    """The utterance may be over. `text` is what was understood of it. Told again if that changes."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class UtteranceResumed:
    """After `EndLikely`: the caller goes on."""

    utterance: int


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    utterance: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class InterimText:
    """What the utterance has said so far."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class FinalText:
    """What the utterance said: empty if it was not understood. `failed`: there was nobody to understand it."""

    utterance: int
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class TextTyped:
    text: str


@dataclass(frozen=True, slots=True)
class StopPressed:
    """The caller wants the floor, by the stop button or the one to talk."""


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The first audio of the agent's turn is there, and goes out next."""


@dataclass(frozen=True, slots=True)
class PlayoutBegan:
    """The caller begins to hear the agent's turn, at this sample of their own audio."""

    at_sample: int


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
class PauseExpired:
    """The agent was silent for as long as it may be without a reason."""


@dataclass(frozen=True, slots=True)
class CallerIdle:
    """The caller was silent for as long as the agent waits."""


@dataclass(frozen=True, slots=True)
class TimeExceeded:
    """The session has lasted as long as it may."""


Input: TypeAlias = (
    CallerConnected
    | UtteranceStarted
    | SpeechSustained
    | SpeechProlonged
    | InterimText
    | EndLikely
    | UtteranceResumed
    | UtteranceEnded
    | FinalText
    | TextTyped
    | StopPressed
    | SpeechBegan
    | PlayoutBegan
    | ReplyFinished
    | PlayoutFinished
    | PlayoutFlushed
    | PauseExpired
    | CallerIdle
    | TimeExceeded
)


@dataclass(frozen=True, slots=True)
class PublishStatus:
    status: StatusWord


@dataclass(frozen=True, slots=True)
class Say:
    """A turn of the agent whose text needs no thought."""

    text: str


@dataclass(frozen=True, slots=True)
class StartReply:
    """Answer the conversation. There is never another reply."""


@dataclass(frozen=True, slots=True)
class PrepareReply:
    """Answer the conversation as it will be if the caller has said `text`, and keep it to yourself."""

    text: str


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """The prepared reply is the answer."""


@dataclass(frozen=True, slots=True)
class DiscardReply:
    """The prepared reply is none: it leaves no trace."""


@dataclass(frozen=True, slots=True)
class CancelReply:
    """Nothing of it was heard."""


@dataclass(frozen=True, slots=True)
class PauseSpeaking:
    """Fall silent, and be ready to go on at the same sample."""


@dataclass(frozen=True, slots=True)
class ResumeSpeaking:
    """Go on where you stopped. `over`: that was the end, nothing is left to say."""

    over: bool = False


@dataclass(frozen=True, slots=True)
class StopSpeaking:
    """Give the turn up, silence what is queued, and tell what was heard by `PlayoutFlushed`."""


@dataclass(frozen=True, slots=True)
class FinishUtterance:
    """Ask for its `FinalText`."""

    utterance: int


@dataclass(frozen=True, slots=True)
class DropUtterance:
    utterance: int


@dataclass(frozen=True, slots=True)
class DismissSpeech:
    """What the caller's last sounds were does not take the floor, and nothing answers them."""


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
    | Say
    | StartReply
    | PrepareReply
    | ReleaseReply
    | DiscardReply
    | CancelReply
    | PauseSpeaking
    | ResumeSpeaking
    | StopSpeaking
    | FinishUtterance
    | DropUtterance
    | DismissSpeech
    | RecordCaller
    | RecordAgent
    | EndSession
)
