from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_worker.turns.events import (
    Action,
    CallerConnected,
    CallerIdle,
    CancelReply,
    DiscardReply,
    DismissSpeech,
    DropUtterance,
    EndLikely,
    EndSession,
    FinalText,
    FinishUtterance,
    Input,
    InterimText,
    PauseExpired,
    PauseSpeaking,
    PlayoutFinished,
    PlayoutFlushed,
    PrepareReply,
    PublishStatus,
    RecordAgent,
    RecordCaller,
    ReleaseReply,
    ReplyFinished,
    ResumeSpeaking,
    Say,
    SpeechBegan,
    StartReply,
    StopPressed,
    StopSpeaking,
    TakenOver,
    TimeExceeded,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.state import Floor, IllegalInput, State
from pipeline_worker.turns.table import TABLE, TurnTaking
from shared.agent import AgentDefinition, Greeting
from tests.pipeline_worker.turns.scenarios import (
    AGENT,
    BEGAN,
    ENDED,
    FAREWELLS,
    FINAL,
    GREETING,
    INPUTS,
    LIKELY,
    LISTENING,
    OVER,
    PROLONGED,
    PROMPT,
    SAID,
    SPEAKING,
    SUSTAINED,
    THINKING,
    TYPED,
    TYPED_WORDS,
    play,
    turns_in,
)
from tests.pipeline_worker.turns.simulated_call import TEXTS, SimulatedCall

OUTCOMES: dict[tuple[State, Input], tuple[State, list[Action]]] = {
    (State.WAITING, CallerConnected()): (State.LISTENING, [LISTENING]),
    (State.WAITING, TakenOver(began=True)): (State.LISTENING, [LISTENING]),
    (State.WAITING, ENDED): (State.WAITING, [DropUtterance(1)]),
    (State.WAITING, TimeExceeded()): (State.ENDED, [OVER]),
    (State.LISTENING, LIKELY): (State.LISTENING, [PrepareReply("what time is it")]),
    (State.LISTENING, ENDED): (State.TRANSCRIBING, [FinishUtterance(1), THINKING]),
    (State.LISTENING, FINAL): (State.LISTENING, [SAID]),
    (State.LISTENING, TYPED): (State.THINKING, [TYPED_WORDS, THINKING, StartReply()]),
    (State.LISTENING, CallerIdle()): (State.SPEAKING, [SPEAKING, PROMPT]),
    (State.LISTENING, TimeExceeded()): (State.ENDED, [OVER]),
    (State.TRANSCRIBING, SUSTAINED): (State.LISTENING, [LISTENING]),
    (State.TRANSCRIBING, ENDED): (State.TRANSCRIBING, [DropUtterance(1)]),
    (State.TRANSCRIBING, FINAL): (State.THINKING, [SAID, StartReply()]),
    (State.TRANSCRIBING, TYPED): (State.TRANSCRIBING, [TYPED_WORDS]),
    (State.TRANSCRIBING, StopPressed()): (State.LISTENING, [LISTENING]),
    (State.TRANSCRIBING, TimeExceeded()): (State.ENDED, [OVER]),
    (State.THINKING, PROLONGED): (State.LISTENING, [CancelReply(), LISTENING]),
    (State.THINKING, ENDED): (State.THINKING, [DropUtterance(1), DismissSpeech()]),
    (State.THINKING, FINAL): (State.THINKING, [SAID]),
    (State.THINKING, TYPED): (State.THINKING, [CancelReply(), TYPED_WORDS, StartReply()]),
    (State.THINKING, StopPressed()): (State.LISTENING, [CancelReply(), LISTENING]),
    (State.THINKING, SpeechBegan()): (State.SPEAKING, [SPEAKING]),
    (State.THINKING, ReplyFinished()): (State.LISTENING, [LISTENING]),
    (State.THINKING, TimeExceeded()): (State.ENDED, [CancelReply(), OVER]),
    (State.SPEAKING, BEGAN): (State.PAUSED, [PauseSpeaking()]),
    (State.SPEAKING, SUSTAINED): (State.PAUSED, [PauseSpeaking()]),
    (State.SPEAKING, ENDED): (State.SPEAKING, [DropUtterance(1), DismissSpeech()]),
    (State.SPEAKING, FINAL): (State.SPEAKING, [SAID]),
    (State.SPEAKING, TYPED): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.SPEAKING, StopPressed()): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.PAUSED, PROLONGED): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.PAUSED, ENDED): (State.SPEAKING, [DropUtterance(1), DismissSpeech(), ResumeSpeaking()]),
    (State.PAUSED, FINAL): (State.PAUSED, [SAID]),
    (State.PAUSED, TYPED): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.PAUSED, StopPressed()): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.PAUSED, PauseExpired()): (State.SPEAKING, [ResumeSpeaking()]),
    (State.INTERRUPTED, ENDED): (State.INTERRUPTED, [FinishUtterance(1)]),
    (State.INTERRUPTED, PlayoutFlushed()): (State.LISTENING, [RecordAgent()]),
}
"""All other inputs of `TABLE` lead to no action and no other state."""


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", INPUTS, ids=lambda event: type(event).__name__)
def test_every_input_in_every_state_has_its_outcome_or_is_illegal(state: State, event: Input) -> None:
    turns = turns_in(state)
    before = turns.floor
    if (state, event) in OUTCOMES:
        after, actions = OUTCOMES[state, event]
        assert turns.handle(event) == actions
        assert turns.state is after
    elif state is State.ENDED or ((state, type(event)) in TABLE and not isinstance(event, PlayoutFinished)):
        assert turns.handle(event) == []
        assert turns.state is state
    else:
        with pytest.raises(IllegalInput) as raised:
            turns.handle(event)
        assert raised.value.code == "illegal_input"
        assert turns.floor == before


def test_playout_cannot_finish_before_the_reply_is_complete() -> None:
    turns = turns_in(State.SPEAKING)
    with pytest.raises(IllegalInput):
        turns.handle(PlayoutFinished())
    assert turns.state is State.SPEAKING


@pytest.mark.parametrize("state", State)
def test_the_caller_is_heard_unless_the_agent_has_the_floor(state: State) -> None:
    turns = turns_in(state)
    assert turns.hears_caller is (state in (State.LISTENING, State.TRANSCRIBING, State.INTERRUPTED))
    assert turns.agent_speaks is (state in (State.SPEAKING, State.PAUSED))


any_input = st.one_of(
    st.sampled_from([event for event in INPUTS if not isinstance(event, TimeExceeded)]),
    st.builds(UtteranceStarted, st.integers(1, 5), st.integers(0, 9000)),
    st.builds(UtteranceEnded, st.integers(1, 5), st.just(0)),
    st.builds(FinalText, st.integers(1, 5), st.sampled_from(["", "...", "yes", "no"]), st.booleans()),
    st.builds(InterimText, st.integers(1, 5), st.sampled_from(["yes", "no", "no I do not"])),
    st.builds(EndLikely, st.integers(1, 5), st.sampled_from(["...", "yes", "no"])),
    st.builds(ReplyFinished, st.booleans()),
)
agents = st.builds(
    lambda taking, greeting, farewells, apology: (FAREWELLS if farewells else AGENT).model_copy(
        update={"turn_taking": AGENT.turn_taking.model_copy(update=taking), "greeting": greeting, "apology": apology}
    ),
    st.fixed_dictionaries(
        {
            "barge_in": st.booleans(),
            "barge_in_words": st.sampled_from([0, 3]),
            "backchannels": st.sampled_from([None, ()]),
            "speculative": st.booleans(),
        }
    ),
    st.sampled_from([None, GREETING, Greeting(text="Recorded.", interruptible=False)]),
    st.booleans(),
    st.sampled_from(["", "Sorry."]),
)


class Auditor:
    """Checks what a receiver of the actions relies on."""

    def __init__(self) -> None:
        self.replying = self.unrecorded = self.prepared = self.paused = self.over = False
        self.status: str | None = None

    def check(self, action: Action) -> None:
        assert not self.over
        match action:
            case StartReply() | Say():
                assert not (self.replying or self.unrecorded or self.prepared or self.paused)
                self.replying = self.unrecorded = True
            case PrepareReply():
                assert not (self.replying or self.unrecorded or self.prepared)
                self.prepared = True
            case ReleaseReply():
                assert self.prepared
                self.prepared = False
                self.replying = self.unrecorded = True
            case DiscardReply():
                assert self.prepared
                self.prepared = False
            case CancelReply():
                assert not self.paused
                self.replying = self.unrecorded = False
            case PauseSpeaking():
                assert self.unrecorded and not self.paused
                self.paused = True
            case ResumeSpeaking():
                assert self.paused
                self.paused = False
            case StopSpeaking():
                self.replying = self.paused = False
            case RecordAgent():
                assert self.unrecorded and not (self.replying or self.paused)
                self.unrecorded = False
            case RecordCaller(text):
                assert text
            case PublishStatus(word):
                assert word != self.status
                self.status = word
            case EndSession():
                assert not (self.prepared or self.paused or self.replying)
                self.over = True


def assert_consistent(floor: Floor) -> None:
    """Something is awaited, undecided or prepared only in states that handle it."""
    state, caller = floor.state, floor.caller
    if state is State.ENDED:
        return
    assert caller.awaited is None or state in (State.TRANSCRIBING, State.INTERRUPTED)
    assert caller.awaited is not None or state is not State.TRANSCRIBING
    assert not caller.undecided or state in (State.THINKING, State.SPEAKING, State.PAUSED)
    assert floor.prepared is None or state in (State.LISTENING, State.TRANSCRIBING)


@given(agents, st.lists(st.one_of(any_input, st.just(TimeExceeded())), max_size=60))
def test_for_any_inputs_there_is_one_reply_at_a_time_and_no_action_after_the_end(
    agent: AgentDefinition, inputs: list[Input]
) -> None:
    turns = TurnTaking(agent)
    audit = Auditor()
    for event in [CallerConnected(), *inputs]:
        before, was = turns.floor, turns.state
        try:
            actions = turns.handle(event)
        except IllegalInput:
            assert turns.floor == before
            continue
        assert turns.state is was or turns.state in TABLE[was, type(event)].leads_to
        assert_consistent(turns.floor)
        if isinstance(event, ReplyFinished):
            audit.replying = False
        if was is State.THINKING and isinstance(event, ReplyFinished):
            audit.unrecorded = False  # a reply without sound
        for action in actions:
            audit.check(action)
        assert audit.paused is (turns.state is State.PAUSED)
    assert audit.over is (turns.state is State.ENDED)


@given(agents, st.lists(any_input, max_size=40))
def test_after_any_inputs_the_caller_gets_the_floor_back(agent: AgentDefinition, inputs: list[Input]) -> None:
    """Because engines answer or fail, playout is reported, and pauses expire."""
    turns = TurnTaking(agent)
    awaited = 0
    for event in [CallerConnected(), *inputs]:
        try:
            for action in turns.handle(event):
                awaited = action.utterance if isinstance(action, FinishUtterance) else awaited
        except IllegalInput:
            continue
    for _ in range(8):
        match turns.state:
            case State.TRANSCRIBING:
                for utterance in range(6):  # also the earlier ones
                    if turns.state is State.TRANSCRIBING:
                        turns.handle(FinalText(utterance, "yes"))
            case State.THINKING:
                turns.handle(SpeechBegan())
            case State.SPEAKING:
                play(turns, ReplyFinished(), PlayoutFinished())
            case State.PAUSED:
                turns.handle(PauseExpired())
            case State.INTERRUPTED:
                turns.handle(PlayoutFlushed())
            case _:
                break
    assert turns.state in (State.LISTENING, State.ENDED)


@settings(deadline=None)
@given(agents, st.integers(0, 2**32))
def test_in_any_call_every_word_of_the_caller_is_answered(agent: AgentDefinition, seed: int) -> None:
    """Except after the stop button, at the end, and for a backchannel in the middle of the agent's turn.

    An example has many calls, because a fault may need several moves in one order.
    """
    chance = Random(seed)
    for _ in range(30):
        call = SimulatedCall(agent)
        for _ in range(chance.randrange(10, 30)):
            moves = call.rare_moves() if chance.random() < 0.05 else call.moves()
            if call.over:
                break
            call.make(chance.choice(moves), chance.choice(TEXTS))
            assert_consistent(call.turns.floor)
            assert call.over or not (call.quiet and call.owes_reply), call.story
        call.settle()
        assert call.over or (call.quiet and not call.owes_reply), call.story
        assert call.turns.state is (State.ENDED if call.over else State.LISTENING)
