"""The steps of turn taking: what each input does to the floor, and what is to be done for it, in order.

`turn_taking` says in which state an input leads to which step.
"""

from pipeline_worker.text.words import same_words
from pipeline_worker.turns.events import (
    Action,
    CancelReply,
    DismissSpeech,
    DropUtterance,
    EndLikely,
    FinalText,
    FinishUtterance,
    Input,
    InterimText,
    PauseSpeaking,
    PlayoutBegan,
    PrepareReply,
    RecordAgent,
    RecordCaller,
    ReleaseReply,
    ReplyFinished,
    ResumeSpeaking,
    StopSpeaking,
    TextTyped,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.state import Floor, IllegalInput, State

MAX_HELD_TEXTS = 20


class TurnSteps(Floor):
    """Each is named by what it does, and entered in `turn_taking.TABLE`."""

    # The caller speaks

    def begin_utterance(self, event: UtteranceStarted) -> list[Action]:
        self._open, self._sustained, self._interim = True, False, ""
        self._utterance = event.utterance
        return []

    def pause_at_onset(self, event: UtteranceStarted) -> list[Action]:
        self.begin_utterance(event)
        return self._pause() if self._interruptible and not self._may_be_echo(event.at_sample) else []

    def sustain(self, _: Input) -> list[Action]:
        self._sustained = True
        return []

    def pause_for_speech(self, _: Input) -> list[Action]:
        self._sustained = True
        if not self._interruptible:
            return []
        return self._pause() if self._words_decide else self._interrupt()

    def weigh_speech(self, _: Input) -> list[Action]:
        self._sustained = True
        return [] if self._words_decide and not self._words.claim(self._interim) else self._take_floor()

    def weigh_long_speech(self, _: Input) -> list[Action]:
        """Nobody says "uh-huh" for so long."""
        return [] if self._agent.turn_taking.barge_in_words else self._take_floor()

    def weigh_words(self, event: InterimText) -> list[Action]:
        """Those of an utterance that the stop button has ended come late, and ask for nothing."""
        if not (self._open and event.utterance == self._utterance) and event.utterance not in self._weighed:
            return []
        self._interim = event.text
        return self._take_floor() if self._sustained and self._words.claim(event.text) else []

    def end_utterance(self, event: UtteranceEnded) -> list[Action]:
        """It did not take the floor."""
        self._open = False
        return [DropUtterance(event.utterance)]

    def weigh_utterance(self, event: UtteranceEnded) -> list[Action]:
        """A cough is nothing, anything longer is what its words are."""
        self._open = False
        if not self._interruptible:
            return self.end_utterance(event)
        if not self._sustained:
            return [DropUtterance(event.utterance), *self._dismiss()]
        self._weighed |= {event.utterance}
        return [FinishUtterance(event.utterance)]

    def weigh_final(self, event: FinalText) -> list[Action]:
        if event.utterance not in self._weighed:
            return self.record(event)
        self._weighed -= {event.utterance}
        if self._interruptible and self._words.claim(event.text):
            return self._answer_instead(event) if self.state is State.THINKING else self._interrupt_with(event)
        if event.text and self._speech_complete:
            self._hold(event.text)  # the agent's last moments: an early "yes" is an answer
        return self._dismiss()

    def transcribe(self, event: UtteranceEnded) -> list[Action]:
        if self._sustained:
            self._prompts_said = 0
        return [*self.transcribe_held(event), *self._enter(State.TRANSCRIBING)]

    def transcribe_held(self, event: UtteranceEnded) -> list[Action]:
        """Also what may be a cough: a short "yes" is no longer. After speech that is awaited it is a part of that."""
        self._open = False
        goes_on = self._awaited is not None and self._awaited_sustained
        self._awaited, self._awaited_sustained = event.utterance, self._sustained or goes_on
        return [FinishUtterance(event.utterance)]

    def record(self, event: FinalText | TextTyped) -> list[Action]:
        """Words that are not answered by themselves."""
        return self._record(event.text)

    def hold(self, event: FinalText | TextTyped) -> list[Action]:
        if isinstance(event, FinalText) and event.utterance == self._awaited:
            self._awaited = None
            if self._is_cough(event):
                return []
        elif not event.text:
            return []
        self._hold(event.text)
        return []

    # Replies

    def prepare_reply(self, event: EndLikely) -> list[Action]:
        if not self._agent.turn_taking.speculative:
            return []
        if self._prepared is not None and same_words(self._prepared, event.text):
            return []
        discarded = self._discard()
        self._prepared = event.text
        return [*discarded, PrepareReply(event.text)]

    def discard_reply(self, _: Input) -> list[Action]:
        return self._discard()

    def answer_speech(self, event: FinalText) -> list[Action]:
        if event.utterance != self._awaited:
            return self.record(event)
        self._awaited = None
        if event.failed and self._agent.apology:
            return [*self._discard(), *self._say(self._agent.apology)]
        if not self._unanswered and (event.failed or self._is_cough(event)):
            return [*self._discard(), DismissSpeech(), *self._enter(State.LISTENING)]
        if event.text and self._prepared is not None and same_words(self._prepared, event.text):
            self._prepared = None
            self._speech_complete = self._unanswered = False
            return [RecordCaller(event.text), *self._enter(State.THINKING), ReleaseReply()]
        discarded = self._discard()
        return [*discarded, *self.record(event), *self._reply()]

    def answer_text(self, event: TextTyped) -> list[Action]:
        """Together with what the caller is saying, if they are."""
        return self.record(event) if self._open else [*self.record(event), *self._reply()]

    def answer_text_instead(self, event: TextTyped) -> list[Action]:
        return self._answer_instead(event)

    def go_on_listening(self, _: Input) -> list[Action]:
        """The caller had only paused: the text that is awaited is a part of what is being said."""
        self._awaited = None
        return [*self._discard(), *self._enter(State.LISTENING)]

    def go_on_listening_if_allowed(self, event: Input) -> list[Action]:
        self._sustained = True
        return self.go_on_listening(event) if self._interruptible else []

    def forget_reply(self, _: Input) -> list[Action]:
        self._weighed = frozenset()
        return [CancelReply(), *self._enter(State.LISTENING)]

    # The agent speaks

    def greet(self, _: Input) -> list[Action]:
        greeting = self._agent.greeting
        if greeting is None:
            return self._enter(State.LISTENING)
        return self._say(greeting.text, greeting.interruptible)

    def speak(self, _: Input) -> list[Action]:
        """A caller who has begun to speak meanwhile is not talked over."""
        self._playout_began = None
        if (self._open or self._weighed) and self._interruptible:
            return [*self._enter(State.PAUSED), PauseSpeaking()]
        return self._enter(State.SPEAKING)

    def guard_against_echo(self, event: PlayoutBegan) -> list[Action]:
        self._playout_began = event.at_sample
        return []

    def complete(self, event: ReplyFinished) -> list[Action]:
        self._speech_complete = True
        if event.end_call:
            self._end_reason = self._end_reason or "agent_hangup"
        return []

    def complete_silently(self, event: ReplyFinished) -> list[Action]:
        """A reply without sound."""
        return self._end("agent_hangup") if event.end_call else self._listen()

    def finish_turn(self, event: Input) -> list[Action]:
        if not self._speech_complete:
            raise IllegalInput(f"{type(event).__name__} before the end of the reply")
        self._interruptible = self._agent.turn_taking.barge_in
        paused: list[Action] = [ResumeSpeaking(over=True)] if self.state is State.PAUSED else []
        return [*paused, *self._hand_over()]

    def resume(self, _: Input) -> list[Action]:
        return self._resume()

    # Interruptions

    def interrupt(self, _: Input) -> list[Action]:
        """Whoever presses the button wants silence: what was said before it is not answered."""
        self._weighed, self._held = frozenset(), []
        return self._interrupt()

    def interrupt_by_text(self, event: TextTyped) -> list[Action]:
        return self._interrupt_with(event)

    def yield_floor(self, _: Input) -> list[Action]:
        return self._hand_over()

    # Ends

    def prompt(self, _: Input) -> list[Action]:
        """The caller says nothing."""
        prompts = self._agent.idle.prompts
        if self._prompts_said == len(prompts):
            return self._close("user_idle")
        self._prompts_said += 1
        return self._say(prompts[self._prompts_said - 1])

    def end_after_turn(self, _: Input) -> list[Action]:
        self._end_reason = "max_duration"
        return []

    def end_at_once(self, _: Input) -> list[Action]:
        return self._end("max_duration")

    def end_listening(self, _: Input) -> list[Action]:
        self._awaited = None
        return [*self._discard(), *self._close("max_duration")]

    def end_without_reply(self, _: Input) -> list[Action]:
        return [CancelReply(), *self._close("max_duration")]

    def ignore(self, _: Input) -> list[Action]:
        return []

    def _take_floor(self) -> list[Action]:
        """Speech does, if it may."""
        if not self._interruptible:
            return []
        if self.state is not State.THINKING:
            return self._interrupt()
        self._unanswered = True
        return [CancelReply(), *self._listen()]

    def _answer_instead(self, event: FinalText | TextTyped) -> list[Action]:
        return [CancelReply(), *self.record(event), *self._reply()]

    def _interrupt_with(self, event: FinalText | TextTyped) -> list[Action]:
        self._hold(event.text)
        return self._interrupt()

    def _interrupt(self) -> list[Action]:
        self._interruptible = self._agent.turn_taking.barge_in
        self._await_weighed()
        if self._end_reason != "max_duration":
            self._end_reason = None  # whoever interrupts a farewell has more to say
            self._farewell_said = False
        return [StopSpeaking(), *self._enter(State.INTERRUPTED)]

    def _record(self, text: str) -> list[Action]:
        if not text:
            return []
        self._prompts_said = 0
        self._unanswered = True
        return [*self._discard(), RecordCaller(text)]

    def _dismiss(self) -> list[Action]:
        """The agent goes on, when all that was heard is decided."""
        if self._open or self._weighed:
            return []
        dismissed: list[Action] = [] if self._held else [DismissSpeech()]
        return [*dismissed, *(self._resume() if self.state is State.PAUSED else [])]

    def _is_cough(self, event: FinalText) -> bool:
        """The utterance that was awaited; a longer one without words is asked for again."""
        return not event.text and not self._awaited_sustained

    def _hold(self, text: str) -> None:
        self._held = [*self._held, text][-MAX_HELD_TEXTS:]

    def _hand_over(self) -> list[Action]:
        """The agent's turn is over."""
        held, self._held = self._held, []
        recorded = [RecordAgent(), *(action for text in held for action in self._record(text))]
        if self._end_reason is not None:
            return [*recorded, *self._close(self._end_reason)]
        self._unanswered = self._unanswered or bool(held)  # also what nobody understood
        return [*recorded, *self._listen(bool(held))]
