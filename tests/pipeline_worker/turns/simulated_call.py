"""A simulated call: the inputs that the caller, the recogniser and the agent's voice can send, and when they can."""

from collections.abc import Callable

from pipeline_worker.turns.backchannels import BargeInWords, usual
from pipeline_worker.turns.events import (
    Action,
    CallerConnected,
    CallerIdle,
    CancelReply,
    DropUtterance,
    EndLikely,
    EndSession,
    FinalText,
    FinishUtterance,
    Input,
    InterimText,
    PauseExpired,
    PlayoutBegan,
    PlayoutFinished,
    PlayoutFlushed,
    RecordCaller,
    ReleaseReply,
    ReplyFinished,
    Say,
    SpeechBegan,
    SpeechProlonged,
    SpeechSustained,
    StartReply,
    StopPressed,
    StopSpeaking,
    TextTyped,
    UtteranceEnded,
    UtteranceResumed,
    UtteranceStarted,
)
from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TurnTaking
from shared.agent import AgentDefinition

Move = Callable[[str], None]
"""Something that happens in the call. Its argument is the text, if the move has one."""

TEXTS = ("", "yes", "no", "no I do not", "goodbye")


class SimulatedCall:
    """`owes_reply`: the caller is waiting for a reply."""

    def __init__(self, agent: AgentDefinition) -> None:
        taking = agent.turn_taking
        backchannels = usual(agent.language) if taking.backchannels is None else taking.backchannels
        self.turns = TurnTaking(agent)
        self.owes_reply = self.over = False
        self._recorded = False
        """The conversation has words of the caller that no reply has answered."""
        self._agent = agent
        self._words = BargeInWords(backchannels, taking.barge_in_words)
        self._may_drop = not taking.barge_in or (agent.greeting is not None and not agent.greeting.interruptible)
        self._utterance = 0
        self._open = self._sustained = self._prolonged = self._likely = False
        self._asked: list[int] = []
        """Utterances whose final texts are still to come, in order."""
        self._stopped: list[int] = []
        """Those of them that ended before the stop button was pressed."""
        self._thinks = self._speaks = self._sent = self._flushes = False
        self.story: list[str] = []
        """The moves so far, for the message of a failed test."""
        self._hear(CallerConnected())

    @property
    def quiet(self) -> bool:
        """Nothing more happens unless the caller does something."""
        waits = self._open or self._asked or self._thinks or self._speaks or self._sent or self._flushes
        return not waits

    def moves(self) -> list[Move]:
        """What can happen next."""
        possible = {
            self.say_a_word: not self._open,
            self.begin: not self._open,
            self.sustain: self._open and not self._sustained,
            self.prolong: self._open and self._sustained and not self._prolonged,
            self.end: self._open,
            self.understand: self._open or bool(self._asked),
            self.find_end_likely: self._open and not self._likely,
            self.find_resumed: self._open and self._likely,
            self.finish: bool(self._asked),
            self.speak: self._thinks,
            self.be_heard: self._speaks,
            self.send_all: self._thinks or self._speaks,
            self.play_out: self._sent,
            self.flush: self._flushes,
            self.expire: self.turns.state is State.PAUSED,
        }
        return [move for move, may_be in possible.items() if may_be]

    def rare_moves(self) -> list[Move]:
        """Moves that would crowd out the others if they were as frequent."""
        idle = self.turns.state is State.LISTENING and not self._open
        return [self.type, self.press_stop, *([self.be_idle] if idle else []), *([self.fail] if self._asked else [])]

    # The caller

    def say_a_word(self, text: str) -> None:
        for move in (self.begin, self.sustain, self.end):
            move(text)

    def begin(self, _: str) -> None:
        self._utterance += 1
        self._open, self._sustained, self._prolonged, self._likely = True, False, False, False
        self._hear(UtteranceStarted(self._utterance, 5000 * self._utterance))

    def sustain(self, _: str) -> None:
        self._sustained = True
        self._hear(SpeechSustained(0))

    def prolong(self, _: str) -> None:
        self._prolonged = True
        self._hear(SpeechProlonged(0))

    def end(self, _: str) -> None:
        self._open = False
        self._hear(UtteranceEnded(self._utterance, 0))

    def type(self, text: str) -> None:
        self.owes_reply = True
        self._hear(TextTyped(text or "hello"))

    def press_stop(self, _: str) -> None:
        self._stopped = list(self._asked)
        self._hear(StopPressed())
        self.owes_reply = False

    def be_idle(self, _: str) -> None:
        self._hear(CallerIdle())

    # The recogniser takes one utterance after the other

    def understand(self, text: str) -> None:
        self._hear(InterimText(self._asked[0] if self._asked else self._utterance, text or "no"))

    def find_end_likely(self, text: str) -> None:
        self._likely = True
        self._hear(EndLikely(self._utterance, text or "..."))

    def find_resumed(self, _: str) -> None:
        self._likely = False
        self._hear(UtteranceResumed(self._utterance))

    def finish(self, text: str) -> None:
        utterance = self._asked.pop(0)
        agent_goes_on = self.turns.state in (State.THINKING, State.SPEAKING, State.PAUSED) and not self._sent
        if text and utterance not in self._stopped and (self._words.claim(text) or not agent_goes_on):
            self.owes_reply = True
        self._hear(FinalText(utterance, text))

    def fail(self, _: str) -> None:
        self._hear(FinalText(self._asked.pop(0), "", failed=True))
        if not (self._agent.apology or self._recorded) and self.turns.state is State.LISTENING:
            self.owes_reply = False  # there are no words to answer, and no apology

    # The agent's voice

    def speak(self, _: str) -> None:
        self._thinks, self._speaks = False, True
        self._hear(SpeechBegan())

    def be_heard(self, _: str) -> None:
        self._hear(PlayoutBegan(5000 * self._utterance))

    def send_all(self, text: str) -> None:
        self._thinks = self._speaks = False
        self._hear(ReplyFinished(end_call=text == "goodbye"))
        self._sent = self.turns.agent_speaks

    def play_out(self, _: str) -> None:
        self._sent = False
        self._hear(PlayoutFinished())

    def flush(self, _: str) -> None:
        self._flushes = False
        self._hear(PlayoutFlushed())

    def expire(self, _: str) -> None:
        self._hear(PauseExpired())

    def make(self, move: Move, text: str) -> None:
        self.story.append(f"{move.__name__} {text!r}")
        move(text)

    def settle(self) -> None:
        """Play what must follow: sounds end, engines answer, playout is reported, pauses expire."""
        must_come = (self.end, self.finish, self.flush, self.expire, self.speak, self.send_all, self.play_out)
        for _ in range(20):
            for move in must_come:
                if not self.over and move in self.moves():
                    self.make(move, "")

    def _hear(self, event: Input) -> None:
        for action in self.turns.handle(event):
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case StartReply() | ReleaseReply():
                self._thinks, self.owes_reply, self._recorded = True, False, False
            case RecordCaller():
                self._recorded = True
            case Say(text):
                self._thinks = True
                self.owes_reply = self.owes_reply and text != self._agent.apology
            case CancelReply():
                self._thinks, self.owes_reply, self._recorded = False, True, True
            case StopSpeaking():
                self._thinks = self._speaks = self._sent = False
                self._flushes = self.owes_reply = True
            case FinishUtterance(utterance):
                self._asked.append(utterance)
            case DropUtterance():
                assert self._may_drop or not self._sustained, "a sustained utterance was not transcribed"
            case EndSession():
                self.over = True
