"""Who has the floor.

Theory of operation. The caller and the agent take turns:

    waiting --connected--> listening --endpoint--> transcribing --final text--> thinking --first audio--> speaking
                              ^                                                                              |
                              +------------------------------- played out -----------------------------------+

Already when the end of the caller's utterance is likely, a reply may be prepared. It is released if the final text is
the one that it answers, and otherwise leaves no trace.

At the onset of speech the agent falls silent: it is `paused`. Words that ask for the floor get it, and so does speech
that is too long to be a backchannel; after a cough, a noise or an "uh-huh", or when nobody can tell in time, it goes
on where it stopped. But when all of its words are on their way, even a "yes" over the last of them is an answer, to be
replied to when it has finished. In the first moments of its turn, when the sound may be its own echo, it takes more
than an onset to make it pause. An agent that has lost the floor is `interrupted` until the playout has told what was
heard of it; words that come meanwhile are held, so that the conversation keeps its order. One that thinks has not been
heard, and forgets its reply for the same words. Words may be understood after their end: what took the floor is still
awaited then. Typed text and the stop button take the floor at once.

`TABLE` says what each input does in each state, and where that may lead if it is not the same state. An input that
it does not name raises `IllegalInput` and changes nothing. After the end every input is late, and does nothing. No
state waits for what may never come: engines and playout have deadlines, a pause has one in `floor_clock`, and a caller
who says nothing may be prompted, and hung up on. The table is drawn in docs/turn-taking.md.
"""

from collections.abc import Callable
from typing import NamedTuple

from pipeline_worker.turns.events import (
    Action,
    CallerConnected,
    CallerIdle,
    EndLikely,
    FinalText,
    Input,
    InterimText,
    PauseExpired,
    PlayoutBegan,
    PlayoutFinished,
    PlayoutFlushed,
    ReplyFinished,
    SpeechBegan,
    SpeechProlonged,
    SpeechSustained,
    StopPressed,
    TextTyped,
    TimeExceeded,
    UtteranceEnded,
    UtteranceResumed,
    UtteranceStarted,
)
from pipeline_worker.turns.handlers import TurnSteps
from pipeline_worker.turns.state import IllegalInput, State
from shared.agent import AgentDefinition


class TurnTaking:
    """One session's floor. `handle` takes an input and returns what is to be done, in order."""

    def __init__(self, agent: AgentDefinition) -> None:
        self._floor = TurnSteps(agent)

    @property
    def state(self) -> State:
        return self._floor.state

    @property
    def hears_caller(self) -> bool:
        """Whether what the caller says now is meant for the conversation."""
        return self.state in (State.LISTENING, State.TRANSCRIBING, State.INTERRUPTED)

    @property
    def agent_speaks(self) -> bool:
        """Whether the caller, who speaks, would speak over the agent."""
        return self.state in (State.SPEAKING, State.PAUSED)

    def handle(self, event: Input) -> list[Action]:
        """Raises `IllegalInput`, having changed nothing."""
        if self.state is State.ENDED:
            return []
        entry = TABLE.get((self.state, type(event)))
        if entry is None:
            raise IllegalInput(f"{type(event).__name__} while {self.state}")
        return entry.step(self._floor, event)


class Entry(NamedTuple):
    step: Callable[..., list[Action]]
    leads_to: tuple[State, ...]
    """Beside staying where it is."""


def _to(step: Callable[..., list[Action]], *leads_to: State) -> Entry:
    return Entry(step, leads_to)


_S, _F = State, TurnSteps
_NOTHING = _to(_F.ignore)

TABLE: dict[tuple[State, type[Input]], Entry] = {
    (_S.WAITING, CallerConnected): _to(_F.greet, _S.LISTENING, _S.SPEAKING),
    (_S.WAITING, UtteranceStarted): _to(_F.begin_utterance),
    (_S.WAITING, SpeechSustained): _to(_F.sustain),
    (_S.WAITING, UtteranceEnded): _to(_F.end_utterance),
    (_S.WAITING, TimeExceeded): _to(_F.end_at_once, _S.ENDED),
    (_S.LISTENING, UtteranceStarted): _to(_F.begin_utterance),
    (_S.LISTENING, SpeechSustained): _to(_F.sustain),
    (_S.LISTENING, EndLikely): _to(_F.prepare_reply),
    (_S.LISTENING, UtteranceResumed): _to(_F.discard_reply),
    (_S.LISTENING, UtteranceEnded): _to(_F.transcribe, _S.TRANSCRIBING),
    (_S.LISTENING, FinalText): _to(_F.record),
    (_S.LISTENING, TextTyped): _to(_F.answer_text, _S.THINKING),
    (_S.LISTENING, CallerIdle): _to(_F.prompt, _S.SPEAKING, _S.ENDED),
    (_S.LISTENING, TimeExceeded): _to(_F.end_listening, _S.SPEAKING, _S.ENDED),
    (_S.TRANSCRIBING, UtteranceStarted): _to(_F.begin_utterance),
    (_S.TRANSCRIBING, SpeechSustained): _to(_F.go_on_listening_if_allowed, _S.LISTENING),
    (_S.TRANSCRIBING, UtteranceEnded): _to(_F.end_utterance),
    (_S.TRANSCRIBING, FinalText): _to(_F.answer_speech, _S.THINKING, _S.SPEAKING, _S.LISTENING),
    (_S.TRANSCRIBING, TextTyped): _to(_F.record),
    (_S.TRANSCRIBING, StopPressed): _to(_F.go_on_listening, _S.LISTENING),
    (_S.TRANSCRIBING, TimeExceeded): _to(_F.end_listening, _S.SPEAKING, _S.ENDED),
    (_S.THINKING, UtteranceStarted): _to(_F.begin_utterance),
    (_S.THINKING, SpeechSustained): _to(_F.weigh_speech, _S.LISTENING, _S.TRANSCRIBING),
    (_S.THINKING, SpeechProlonged): _to(_F.weigh_long_speech, _S.LISTENING, _S.TRANSCRIBING),
    (_S.THINKING, InterimText): _to(_F.weigh_words, _S.LISTENING, _S.TRANSCRIBING),
    (_S.THINKING, UtteranceEnded): _to(_F.weigh_utterance),
    (_S.THINKING, FinalText): _to(_F.weigh_final),
    (_S.THINKING, TextTyped): _to(_F.answer_text_instead),
    (_S.THINKING, StopPressed): _to(_F.forget_reply, _S.LISTENING),
    (_S.THINKING, SpeechBegan): _to(_F.speak, _S.SPEAKING, _S.PAUSED),
    (_S.THINKING, ReplyFinished): _to(_F.complete_silently, _S.LISTENING, _S.TRANSCRIBING, _S.ENDED),
    (_S.THINKING, TimeExceeded): _to(_F.end_without_reply, _S.SPEAKING, _S.ENDED),
    (_S.SPEAKING, UtteranceStarted): _to(_F.pause_at_onset, _S.PAUSED),
    (_S.SPEAKING, SpeechSustained): _to(_F.pause_for_speech, _S.PAUSED, _S.INTERRUPTED),
    (_S.SPEAKING, InterimText): _to(_F.weigh_words, _S.INTERRUPTED),
    (_S.SPEAKING, UtteranceEnded): _to(_F.weigh_utterance),
    (_S.SPEAKING, FinalText): _to(_F.weigh_final, _S.INTERRUPTED),
    (_S.SPEAKING, TextTyped): _to(_F.interrupt_by_text, _S.INTERRUPTED),
    (_S.SPEAKING, StopPressed): _to(_F.interrupt, _S.INTERRUPTED),
    (_S.SPEAKING, PlayoutBegan): _to(_F.guard_against_echo),
    (_S.SPEAKING, ReplyFinished): _to(_F.complete),
    (_S.SPEAKING, PlayoutFinished): _to(_F.finish_turn, _S.LISTENING, _S.TRANSCRIBING, _S.THINKING, _S.ENDED),
    (_S.SPEAKING, TimeExceeded): _to(_F.end_after_turn),
    (_S.PAUSED, UtteranceStarted): _to(_F.begin_utterance),
    (_S.PAUSED, SpeechSustained): _to(_F.weigh_speech, _S.INTERRUPTED),
    (_S.PAUSED, SpeechProlonged): _to(_F.weigh_long_speech, _S.INTERRUPTED),
    (_S.PAUSED, InterimText): _to(_F.weigh_words, _S.INTERRUPTED),
    (_S.PAUSED, UtteranceEnded): _to(_F.weigh_utterance, _S.SPEAKING),
    (_S.PAUSED, FinalText): _to(_F.weigh_final, _S.SPEAKING, _S.INTERRUPTED),
    (_S.PAUSED, TextTyped): _to(_F.interrupt_by_text, _S.INTERRUPTED),
    (_S.PAUSED, StopPressed): _to(_F.interrupt, _S.INTERRUPTED),
    (_S.PAUSED, PauseExpired): _to(_F.resume, _S.SPEAKING),
    (_S.PAUSED, PlayoutBegan): _to(_F.guard_against_echo),
    (_S.PAUSED, ReplyFinished): _to(_F.complete),
    (_S.PAUSED, PlayoutFinished): _to(
        _F.finish_turn, _S.LISTENING, _S.TRANSCRIBING, _S.THINKING, _S.SPEAKING, _S.ENDED
    ),
    (_S.PAUSED, TimeExceeded): _to(_F.end_after_turn),
    (_S.INTERRUPTED, UtteranceStarted): _to(_F.begin_utterance),
    (_S.INTERRUPTED, SpeechSustained): _to(_F.sustain),
    (_S.INTERRUPTED, UtteranceEnded): _to(_F.transcribe_held),
    (_S.INTERRUPTED, FinalText): _to(_F.hold),
    (_S.INTERRUPTED, TextTyped): _to(_F.hold),
    (_S.INTERRUPTED, PlayoutFlushed): _to(
        _F.yield_floor, _S.LISTENING, _S.TRANSCRIBING, _S.THINKING, _S.SPEAKING, _S.ENDED
    ),
    (_S.INTERRUPTED, TimeExceeded): _to(_F.end_after_turn),
    # Facts that mean nothing in these states.
    **dict.fromkeys(
        [
            *((_S.WAITING, heard) for heard in (InterimText, StopPressed)),
            *((_S.LISTENING, heard) for heard in (InterimText, StopPressed)),
            *((_S.TRANSCRIBING, heard) for heard in (InterimText,)),
            *((_S.SPEAKING, heard) for heard in (SpeechBegan,)),  # what is said without thought began with `Say`
            *((_S.PAUSED, heard) for heard in (SpeechBegan,)),
            *((_S.INTERRUPTED, heard) for heard in (InterimText, StopPressed, PlayoutBegan)),
            *((state, SpeechProlonged) for state in _S if state not in (_S.THINKING, _S.PAUSED, _S.ENDED)),
            *((state, EndLikely) for state in _S if state not in (_S.LISTENING, _S.ENDED)),
            *((state, UtteranceResumed) for state in _S if state not in (_S.LISTENING, _S.ENDED)),
            *((state, PlayoutBegan) for state in (_S.LISTENING, _S.TRANSCRIBING, _S.THINKING)),
        ],
        _NOTHING,
    ),
}
