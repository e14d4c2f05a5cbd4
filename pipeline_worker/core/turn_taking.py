"""Who has the floor.

Theory of operation. The caller and the agent take turns:

    waiting --connected--> listening --endpoint--> transcribing --final text--> thinking --first audio--> speaking
                              ^                                                                              |
                              +------------------------------- played out -----------------------------------+

Sustained speech, typed text or the stop button take the floor from an agent that thinks or speaks. One that thinks
has not been heard and forgets its reply; one that speaks is `interrupted` until the playout has told what was heard
of it. Words that come meanwhile are held, so that the conversation keeps its order.

An utterance that ends while the agent has the floor did not take it: a cough, a backchannel, or speech over an agent
that may not be interrupted. It is dropped.

`_TABLE` says what each input does in each state. An input that it does not name raises `IllegalInput` and changes
nothing. After the end every input is late, and does nothing.
"""

from collections.abc import Callable
from enum import StrEnum

from pipeline_worker.core.endpointing import UtteranceEnded
from pipeline_worker.core.talkspurts import SpeechSustained
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
    TimeExceeded,
)
from shared.agent import AgentDefinition
from shared.errors import AntiphonError
from shared.events import StatusWord

MAX_HELD_TEXTS = 20


class State(StrEnum):
    WAITING = "waiting"
    LISTENING = "listening"
    TRANSCRIBING = "transcribing"
    THINKING = "thinking"
    SPEAKING = "speaking"
    INTERRUPTED = "interrupted"
    ENDED = "ended"


_STATUS: dict[State, StatusWord] = {
    State.LISTENING: "listening",
    State.TRANSCRIBING: "thinking",
    State.THINKING: "thinking",
    State.SPEAKING: "speaking",
    State.INTERRUPTED: "listening",
}


class IllegalInput(AntiphonError):
    """This cannot happen now. Nothing was changed."""

    code = "illegal_input"


class TurnTaking:
    """One session's floor. `handle` takes an input and returns what is to be done, in order."""

    def __init__(self, agent: AgentDefinition) -> None:
        self.state = State.WAITING
        self._greeting = agent.greeting
        self._barge_in = agent.turn_taking.barge_in
        self._interruptible = self._barge_in
        self._status: StatusWord | None = None
        self._awaited: int | None = None
        """The utterance whose final text leads to a reply."""
        self._held: list[str] = []
        """What the caller said since the agent was interrupted."""
        self._speech_complete = False
        self._end_reason: str | None = None
        """Why the session ends after the agent's turn."""

    @property
    def hears_caller(self) -> bool:
        """Whether what the caller says now is meant for the conversation."""
        return self.state in (State.LISTENING, State.TRANSCRIBING, State.INTERRUPTED)

    def handle(self, event: Input) -> list[Action]:
        """Raises `IllegalInput`, having changed nothing."""
        if self.state is State.ENDED:
            return []
        step = _TABLE.get((self.state, type(event)))
        if step is None:
            raise IllegalInput(f"{type(event).__name__} while {self.state}")
        return step(self, event)

    # Steps. Each is named by what it does, and entered in the table below.

    def _ignore(self, _: Input) -> list[Action]:
        return []

    def _greet(self, _: Input) -> list[Action]:
        if self._greeting is None:
            return self._enter(State.LISTENING)
        self._interruptible = self._barge_in and self._greeting.interruptible
        self._speech_complete = False
        return [*self._enter(State.SPEAKING), StartGreeting()]

    def _transcribe(self, event: UtteranceEnded) -> list[Action]:
        self._awaited = event.utterance
        return [FinishUtterance(event.utterance), *self._enter(State.TRANSCRIBING)]

    def _transcribe_held(self, event: UtteranceEnded) -> list[Action]:
        self._awaited = event.utterance
        return [FinishUtterance(event.utterance)]

    def _drop(self, event: UtteranceEnded) -> list[Action]:
        return [DropUtterance(event.utterance)]

    def _record(self, event: FinalText | TextTyped) -> list[Action]:
        """Words that are not answered by themselves."""
        return [RecordCaller(event.text)] if event.text else []

    def _answer_speech(self, event: FinalText) -> list[Action]:
        if event.utterance != self._awaited:
            return self._record(event)
        return [*self._record(event), *self._reply()]

    def _answer_text(self, event: TextTyped) -> list[Action]:
        return [RecordCaller(event.text), *self._reply()]

    def _answer_text_instead(self, event: TextTyped) -> list[Action]:
        return [CancelReply(), *self._answer_text(event)]

    def _hold(self, event: FinalText | TextTyped) -> list[Action]:
        if isinstance(event, FinalText) and event.utterance == self._awaited:
            self._awaited = None
        elif not event.text:
            return []
        self._held = [*self._held, event.text][-MAX_HELD_TEXTS:]
        return []

    def _go_on_listening(self, _: Input) -> list[Action]:
        """The caller had only paused: the text that is awaited is a part of what is being said."""
        self._awaited = None
        return self._enter(State.LISTENING)

    def _go_on_listening_if_allowed(self, event: Input) -> list[Action]:
        return self._go_on_listening(event) if self._interruptible else []

    def _forget_reply(self, _: Input) -> list[Action]:
        return [CancelReply(), *self._enter(State.LISTENING)]

    def _forget_reply_if_allowed(self, event: Input) -> list[Action]:
        return self._forget_reply(event) if self._interruptible else []

    def _speak(self, _: Input) -> list[Action]:
        return self._enter(State.SPEAKING)

    def _complete_silently(self, event: ReplyFinished) -> list[Action]:
        """A reply without sound."""
        return self._end("agent_hangup") if event.end_call else self._enter(State.LISTENING)

    def _complete(self, event: ReplyFinished) -> list[Action]:
        self._speech_complete = True
        if event.end_call:
            self._end_reason = self._end_reason or "agent_hangup"
        return []

    def _finish_turn(self, event: Input) -> list[Action]:
        if not self._speech_complete:
            raise IllegalInput(f"{type(event).__name__} before the end of the reply")
        self._interruptible = self._barge_in
        if self._end_reason is not None:
            return [RecordAgent(), *self._end(self._end_reason)]
        return [RecordAgent(), *self._enter(State.LISTENING)]

    def _interrupt(self, _: Input) -> list[Action]:
        self._interruptible = self._barge_in
        self._held = []
        self._awaited = None
        if self._end_reason == "agent_hangup":
            self._end_reason = None  # whoever interrupts a farewell has more to say
        return [StopSpeaking(), *self._enter(State.INTERRUPTED)]

    def _interrupt_if_allowed(self, event: Input) -> list[Action]:
        return self._interrupt(event) if self._interruptible else []

    def _interrupt_by_text(self, event: TextTyped) -> list[Action]:
        actions = self._interrupt(event)
        self._held.append(event.text)
        return actions

    def _yield_floor(self, _: Input) -> list[Action]:
        held, self._held = self._held, []
        recorded: list[Action] = [RecordAgent(), *(RecordCaller(text) for text in held if text)]
        if self._end_reason is not None:
            return [*recorded, *self._end(self._end_reason)]
        if self._awaited is not None:
            return [*recorded, *self._enter(State.TRANSCRIBING)]
        if held:
            return [*recorded, *self._reply()]
        return [*recorded, *self._enter(State.LISTENING)]

    def _end_after_turn(self, _: Input) -> list[Action]:
        self._end_reason = "max_duration"
        return []

    def _end_now(self, _: Input) -> list[Action]:
        return self._end("max_duration")

    def _end_without_reply(self, _: Input) -> list[Action]:
        return [CancelReply(), *self._end("max_duration")]

    def _reply(self) -> list[Action]:
        self._awaited = None
        self._speech_complete = False
        return [*self._enter(State.THINKING), StartReply()]

    def _end(self, reason: str) -> list[Action]:
        self.state = State.ENDED
        return [EndSession(reason)]

    def _enter(self, state: State) -> list[Action]:
        self.state = state
        status = _STATUS[state]
        if status == self._status:
            return []
        self._status = status
        return [PublishStatus(status)]


_Step = Callable[..., list[Action]]
_T = TurnTaking

_TABLE: dict[tuple[State, type[Input]], _Step] = {
    (State.WAITING, CallerConnected): _T._greet,
    (State.WAITING, SpeechSustained): _T._ignore,
    (State.WAITING, UtteranceEnded): _T._drop,
    (State.WAITING, TimeExceeded): _T._end_now,
    (State.LISTENING, SpeechSustained): _T._ignore,
    (State.LISTENING, UtteranceEnded): _T._transcribe,
    (State.LISTENING, FinalText): _T._record,
    (State.LISTENING, TextTyped): _T._answer_text,
    (State.LISTENING, StopPressed): _T._ignore,
    (State.LISTENING, TimeExceeded): _T._end_now,
    (State.TRANSCRIBING, SpeechSustained): _T._go_on_listening_if_allowed,
    (State.TRANSCRIBING, UtteranceEnded): _T._drop,
    (State.TRANSCRIBING, FinalText): _T._answer_speech,
    (State.TRANSCRIBING, TextTyped): _T._record,
    (State.TRANSCRIBING, StopPressed): _T._go_on_listening,
    (State.TRANSCRIBING, TimeExceeded): _T._end_now,
    (State.THINKING, SpeechSustained): _T._forget_reply_if_allowed,
    (State.THINKING, UtteranceEnded): _T._drop,
    (State.THINKING, FinalText): _T._record,
    (State.THINKING, TextTyped): _T._answer_text_instead,
    (State.THINKING, StopPressed): _T._forget_reply,
    (State.THINKING, SpeechBegan): _T._speak,
    (State.THINKING, ReplyFinished): _T._complete_silently,
    (State.THINKING, TimeExceeded): _T._end_without_reply,
    (State.SPEAKING, SpeechSustained): _T._interrupt_if_allowed,
    (State.SPEAKING, UtteranceEnded): _T._drop,
    (State.SPEAKING, FinalText): _T._record,
    (State.SPEAKING, TextTyped): _T._interrupt_by_text,
    (State.SPEAKING, StopPressed): _T._interrupt,
    (State.SPEAKING, SpeechBegan): _T._ignore,  # the greeting's: its text needs no thought
    (State.SPEAKING, ReplyFinished): _T._complete,
    (State.SPEAKING, PlayoutFinished): _T._finish_turn,
    (State.SPEAKING, TimeExceeded): _T._end_after_turn,
    (State.INTERRUPTED, SpeechSustained): _T._ignore,
    (State.INTERRUPTED, UtteranceEnded): _T._transcribe_held,
    (State.INTERRUPTED, FinalText): _T._hold,
    (State.INTERRUPTED, TextTyped): _T._hold,
    (State.INTERRUPTED, StopPressed): _T._ignore,
    (State.INTERRUPTED, PlayoutFlushed): _T._yield_floor,
    (State.INTERRUPTED, TimeExceeded): _T._end_after_turn,
}
