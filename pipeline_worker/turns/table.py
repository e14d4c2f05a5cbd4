"""Turn taking: a table that says, for each state and input, what happens.

Theory of operation. The caller and the agent take turns:

    waiting --connected--> listening --utterance ended--> transcribing --final text--> thinking --audio--> speaking
                              ^                                                                               |
                              +-------------------------------- playout finished -----------------------------+

Replies. When the end of the caller's utterance is likely, a reply may be prepared. It is released if the final text has
the words that it answers. Otherwise it is discarded without a trace.

Barge-in. When the caller begins to speak over the agent, the agent is `paused`. The caller takes the floor with words
that are not a backchannel, or with speech that is too long for one. After a cough, a noise or an "uh-huh" the agent
continues where it stopped. It also continues when the decision takes too long. Two exceptions:

- At the start of its turn the agent may hear its own echo. There it pauses only for sustained speech.
- When all of its audio is on the way, a backchannel is an early answer ("is that right?" "yes"). It is held, and
  answered after the agent's turn.

Words may be understood after the utterance has ended. They can still take the floor, and their final text is awaited
then. Typed text and the stop button take the floor at once.

After a takeover by another pipeline worker, whoever had the floor keeps it (`recovery`): the agent says the rest of its
turn, or answers the caller's last words, or listens.

`interrupted` lasts until playout has reported what was heard of the agent's turn. What the caller says meanwhile is
held, so that the conversation stays in order. If the agent is still `thinking`, nothing was heard of its reply, which
is cancelled at once.

`TABLE` names every legal input of every state, its handler, and the states that it may lead to. Any other input raises
`IllegalInput`. Handlers are pure functions of immutable state, so an input that raises changes nothing. After the end
every input is ignored. No state lasts forever: engines and playout have deadlines, `timers` limits a pause, and a
silent caller is prompted and then hung up on. docs/turn-taking.md has a diagram of the table.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from pipeline_worker.turns import agent_speech, barge_in, caller_speech, recovery
from pipeline_worker.turns.backchannels import BargeInWords, expected
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
    TakenOver,
    TextTyped,
    TimeExceeded,
    UtteranceEnded,
    UtteranceResumed,
    UtteranceStarted,
)
from pipeline_worker.turns.memory import Memory
from pipeline_worker.turns.state import Floor, IllegalInput, Outcome, State
from shared.agent import AgentDefinition


class TurnTaking:
    """The turn taking of one session."""

    def __init__(self, agent: AgentDefinition, memory: Memory | None = None) -> None:
        """`memory` is what an earlier pipeline worker has left."""
        self.floor = Floor(agent, BargeInWords(expected(agent), agent.turn_taking.barge_in_words))
        if memory is not None:
            turn = replace(memory.agent, playout_began=None, complete=False)
            self.floor = replace(self.floor, agent=turn, prompts_said=memory.prompts_said)

    @property
    def state(self) -> State:
        return self.floor.state

    @property
    def hears_caller(self) -> bool:
        """What the caller says now belongs to the conversation."""
        return self.state in (State.LISTENING, State.TRANSCRIBING, State.INTERRUPTED)

    @property
    def agent_speaks(self) -> bool:
        """A caller who speaks now speaks over the agent."""
        return self.state in (State.SPEAKING, State.PAUSED)

    def handle(self, event: Input) -> list[Action]:
        """What to do, in order. Raises `IllegalInput` and changes nothing if the input is impossible now."""
        if self.state is State.ENDED:
            return []
        entry = TABLE.get((self.state, type(event)))
        if entry is None:
            raise IllegalInput(f"{type(event).__name__} while {self.state}")
        self.floor, actions = entry.handler(self.floor, event)
        return list(actions)


class Entry(NamedTuple):
    handler: Callable[..., Outcome]
    leads_to: tuple[State, ...]
    """Besides the same state."""


def _to(handler: Callable[..., Outcome], *leads_to: State) -> Entry:
    return Entry(handler, leads_to)


def _ignore(floor: Floor, _: Input) -> Outcome:
    return Outcome(floor)


_S = State

TABLE: dict[tuple[State, type[Input]], Entry] = {
    (_S.WAITING, CallerConnected): _to(agent_speech.greet, _S.LISTENING, _S.SPEAKING),
    (_S.WAITING, TakenOver): _to(recovery.carry_on, _S.LISTENING, _S.THINKING, _S.SPEAKING, _S.ENDED),
    (_S.WAITING, UtteranceStarted): _to(caller_speech.begin_utterance),
    (_S.WAITING, SpeechSustained): _to(caller_speech.sustain),
    (_S.WAITING, UtteranceEnded): _to(caller_speech.drop_utterance),
    (_S.WAITING, TimeExceeded): _to(agent_speech.end_at_once, _S.ENDED),
    (_S.LISTENING, UtteranceStarted): _to(caller_speech.begin_utterance),
    (_S.LISTENING, SpeechSustained): _to(caller_speech.sustain),
    (_S.LISTENING, EndLikely): _to(caller_speech.prepare_reply),
    (_S.LISTENING, UtteranceResumed): _to(caller_speech.discard_reply),
    (_S.LISTENING, UtteranceEnded): _to(caller_speech.transcribe, _S.TRANSCRIBING),
    (_S.LISTENING, FinalText): _to(caller_speech.record_text),
    (_S.LISTENING, TextTyped): _to(caller_speech.answer_typed, _S.THINKING),
    (_S.LISTENING, CallerIdle): _to(agent_speech.prompt, _S.SPEAKING, _S.ENDED),
    (_S.LISTENING, TimeExceeded): _to(agent_speech.end_listening, _S.SPEAKING, _S.ENDED),
    (_S.TRANSCRIBING, UtteranceStarted): _to(caller_speech.begin_utterance),
    (_S.TRANSCRIBING, SpeechSustained): _to(caller_speech.listen_on_if_allowed, _S.LISTENING),
    (_S.TRANSCRIBING, UtteranceEnded): _to(caller_speech.drop_utterance),
    (_S.TRANSCRIBING, FinalText): _to(caller_speech.answer_speech, _S.THINKING, _S.SPEAKING, _S.LISTENING),
    (_S.TRANSCRIBING, TextTyped): _to(caller_speech.record_text),
    (_S.TRANSCRIBING, StopPressed): _to(caller_speech.listen_on, _S.LISTENING),
    (_S.TRANSCRIBING, TimeExceeded): _to(agent_speech.end_listening, _S.SPEAKING, _S.ENDED),
    (_S.THINKING, UtteranceStarted): _to(caller_speech.begin_utterance),
    (_S.THINKING, SpeechSustained): _to(barge_in.judge_speech, _S.LISTENING, _S.TRANSCRIBING),
    (_S.THINKING, SpeechProlonged): _to(barge_in.judge_long_speech, _S.LISTENING, _S.TRANSCRIBING),
    (_S.THINKING, InterimText): _to(barge_in.judge_words, _S.LISTENING, _S.TRANSCRIBING),
    (_S.THINKING, UtteranceEnded): _to(barge_in.judge_utterance),
    (_S.THINKING, FinalText): _to(barge_in.judge_final_text),
    (_S.THINKING, TextTyped): _to(agent_speech.answer_instead),
    (_S.THINKING, StopPressed): _to(agent_speech.cancel_reply, _S.LISTENING),
    (_S.THINKING, SpeechBegan): _to(agent_speech.speak, _S.SPEAKING, _S.PAUSED),
    (_S.THINKING, ReplyFinished): _to(agent_speech.complete_silently, _S.LISTENING, _S.TRANSCRIBING, _S.ENDED),
    (_S.THINKING, TimeExceeded): _to(agent_speech.end_without_reply, _S.SPEAKING, _S.ENDED),
    (_S.SPEAKING, UtteranceStarted): _to(barge_in.pause_at_onset, _S.PAUSED),
    (_S.SPEAKING, SpeechSustained): _to(barge_in.pause_for_speech, _S.PAUSED, _S.INTERRUPTED),
    (_S.SPEAKING, InterimText): _to(barge_in.judge_words, _S.INTERRUPTED),
    (_S.SPEAKING, UtteranceEnded): _to(barge_in.judge_utterance),
    (_S.SPEAKING, FinalText): _to(barge_in.judge_final_text, _S.INTERRUPTED),
    (_S.SPEAKING, TextTyped): _to(barge_in.interrupt_by_text, _S.INTERRUPTED),
    (_S.SPEAKING, StopPressed): _to(barge_in.interrupt_by_button, _S.INTERRUPTED),
    (_S.SPEAKING, PlayoutBegan): _to(agent_speech.note_playout),
    (_S.SPEAKING, ReplyFinished): _to(agent_speech.complete),
    (_S.SPEAKING, PlayoutFinished): _to(agent_speech.finish_turn, _S.LISTENING, _S.TRANSCRIBING, _S.THINKING, _S.ENDED),
    (_S.SPEAKING, TimeExceeded): _to(agent_speech.end_after_turn),
    (_S.PAUSED, UtteranceStarted): _to(caller_speech.begin_utterance),
    (_S.PAUSED, SpeechSustained): _to(barge_in.judge_speech, _S.INTERRUPTED),
    (_S.PAUSED, SpeechProlonged): _to(barge_in.judge_long_speech, _S.INTERRUPTED),
    (_S.PAUSED, InterimText): _to(barge_in.judge_words, _S.INTERRUPTED),
    (_S.PAUSED, UtteranceEnded): _to(barge_in.judge_utterance, _S.SPEAKING),
    (_S.PAUSED, FinalText): _to(barge_in.judge_final_text, _S.SPEAKING, _S.INTERRUPTED),
    (_S.PAUSED, TextTyped): _to(barge_in.interrupt_by_text, _S.INTERRUPTED),
    (_S.PAUSED, StopPressed): _to(barge_in.interrupt_by_button, _S.INTERRUPTED),
    (_S.PAUSED, PauseExpired): _to(barge_in.resume, _S.SPEAKING),
    (_S.PAUSED, PlayoutBegan): _to(agent_speech.note_playout),
    (_S.PAUSED, ReplyFinished): _to(agent_speech.complete),
    (_S.PAUSED, PlayoutFinished): _to(
        agent_speech.finish_turn, _S.LISTENING, _S.TRANSCRIBING, _S.THINKING, _S.SPEAKING, _S.ENDED
    ),
    (_S.PAUSED, TimeExceeded): _to(agent_speech.end_after_turn),
    (_S.INTERRUPTED, UtteranceStarted): _to(caller_speech.begin_utterance),
    (_S.INTERRUPTED, SpeechSustained): _to(caller_speech.sustain),
    (_S.INTERRUPTED, UtteranceEnded): _to(caller_speech.await_text),
    (_S.INTERRUPTED, FinalText): _to(barge_in.hold_text),
    (_S.INTERRUPTED, TextTyped): _to(barge_in.hold_text),
    (_S.INTERRUPTED, PlayoutFlushed): _to(
        barge_in.yield_floor, _S.LISTENING, _S.TRANSCRIBING, _S.THINKING, _S.SPEAKING, _S.ENDED
    ),
    (_S.INTERRUPTED, TimeExceeded): _to(agent_speech.end_after_turn),
    # These are ignored.
    **dict.fromkeys(
        [
            *((state, InterimText) for state in (_S.WAITING, _S.LISTENING, _S.TRANSCRIBING, _S.INTERRUPTED)),
            *((state, StopPressed) for state in (_S.WAITING, _S.LISTENING, _S.INTERRUPTED)),
            *((state, SpeechBegan) for state in (_S.SPEAKING, _S.PAUSED)),  # `Say` has entered `speaking` already
            *((state, SpeechProlonged) for state in _S if state not in (_S.THINKING, _S.PAUSED, _S.ENDED)),
            *((state, EndLikely) for state in _S if state not in (_S.LISTENING, _S.ENDED)),
            *((state, UtteranceResumed) for state in _S if state not in (_S.LISTENING, _S.ENDED)),
            *((state, PlayoutBegan) for state in (_S.LISTENING, _S.TRANSCRIBING, _S.THINKING, _S.INTERRUPTED)),
        ],
        _to(_ignore),
    ),
}
