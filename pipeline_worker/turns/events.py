"""Inputs of turn taking, which are facts of the past, and actions, which are commands."""

from dataclasses import dataclass
from typing import TypeAlias

from shared.events import StatusWord


@dataclass(frozen=True, slots=True)
class CallerConnected:
    """Media flows in both directions."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Media flows, and an earlier pipeline worker has left the session like this."""

    began: bool = False
    """Something was said: no greeting."""
    unanswered: bool = False
    """The caller, or the result of a tool, had the last word."""
    has_turn: bool = False
    """The agent's turn was not over yet."""
    rest: str = ""
    """What the caller has not heard of its text."""
    continues: bool = False
    """After `rest`, the model is asked again: the turn had waited for tools."""
    end_reason: str | None = None


@dataclass(frozen=True, slots=True)
class UtteranceStarted:
    """Utterances are numbered from 1."""

    utterance: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class SpeechSustained:
    """The talkspurt is longer than a cough (`barge_in_ms`). At most once per talkspurt."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class SpeechProlonged:
    """The talkspurt is too long for a backchannel. At most once per talkspurt, after `SpeechSustained`."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class EndLikely:
    """The utterance may be over. `text` is what was understood so far. Repeated when the text changes."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class UtteranceResumed:
    """After `EndLikely`: the caller continues to speak."""

    utterance: int


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    utterance: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class InterimText:
    """The hypothesis for an utterance that may still be going on."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class FinalText:
    """The transcript of an utterance: empty if no words were understood. `failed`: the recogniser failed."""

    utterance: int
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class TextTyped:
    text: str


@dataclass(frozen=True, slots=True)
class StopPressed:
    """The caller pressed the stop button, or the talk button of push-to-talk."""


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The first audio of the agent's turn is ready to be sent."""


@dataclass(frozen=True, slots=True)
class PlayoutBegan:
    """The caller began to hear the agent's turn, at this sample of their own audio."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """All audio of the reply is on its way to the caller. `end_call`: the agent hangs up after it."""

    end_call: bool = False


@dataclass(frozen=True, slots=True)
class PlayoutFinished:
    """The caller has heard the whole turn."""


@dataclass(frozen=True, slots=True)
class PlayoutFlushed:
    """The interrupted agent is silent, and what the caller heard of it is known."""


@dataclass(frozen=True, slots=True)
class PauseExpired:
    """The agent has been paused for as long as it may be without a decision."""


@dataclass(frozen=True, slots=True)
class CallerIdle:
    """The caller was silent for `prompt_after_s`."""


@dataclass(frozen=True, slots=True)
class TimeExceeded:
    """The session has reached `max_duration_s`."""


Input: TypeAlias = (
    CallerConnected
    | TakenOver
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
    """A turn of the agent with a given text."""

    text: str


@dataclass(frozen=True, slots=True)
class ResumeTurn:
    """Go on with the turn of which an earlier worker was heard: say `text`, and then answer if it is an `answer`."""

    text: str
    answer: bool


@dataclass(frozen=True, slots=True)
class StartReply:
    """Answer the conversation. No other reply is running."""


@dataclass(frozen=True, slots=True)
class PrepareReply:
    """Answer the conversation as if the caller had said `text`, and hold the audio back."""

    text: str


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """Send the prepared reply."""


@dataclass(frozen=True, slots=True)
class DiscardReply:
    """Drop the prepared reply."""


@dataclass(frozen=True, slots=True)
class CancelReply:
    """Drop the reply, of which nothing was heard."""


@dataclass(frozen=True, slots=True)
class PauseSpeaking:
    """Stop playout, and keep its position."""


@dataclass(frozen=True, slots=True)
class ResumeSpeaking:
    """Continue at the kept position. `over`: nothing is left to say."""

    over: bool = False


@dataclass(frozen=True, slots=True)
class StopSpeaking:
    """Drop the turn and flush playout. `PlayoutFlushed` follows when it is known what was heard."""


@dataclass(frozen=True, slots=True)
class FinishUtterance:
    """Ask the recogniser for the `FinalText`."""

    utterance: int


@dataclass(frozen=True, slots=True)
class DropUtterance:
    """The recogniser may forget the utterance."""

    utterance: int


@dataclass(frozen=True, slots=True)
class DismissSpeech:
    """The caller's last sounds did not take the floor and get no answer."""


@dataclass(frozen=True, slots=True)
class RecordCaller:
    """Add what the caller said or typed to the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class RecordAgent:
    """The agent's turn is over: add what was heard of it to the conversation."""


@dataclass(frozen=True, slots=True)
class EndSession:
    reason: str


Action: TypeAlias = (
    PublishStatus
    | Say
    | ResumeTurn
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
