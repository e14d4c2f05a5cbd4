import copy
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from pipeline_worker.core.turn_taking import IllegalInput, State, TurnTaking
from shared.agent import AgentDefinition, Greeting

AGENT = AgentDefinition(id="a", name="A")
GREETING = Greeting(text="Hello.")

SUSTAINED = SpeechSustained(4000)
ENDED = UtteranceEnded(1, 8000)
FINAL = FinalText(1, "what time is it")
TYPED = TextTyped("hello")

INPUTS: tuple[Input, ...] = (
    CallerConnected(),
    SUSTAINED,
    ENDED,
    FINAL,
    TYPED,
    StopPressed(),
    SpeechBegan(),
    ReplyFinished(),
    PlayoutFinished(),
    PlayoutFlushed(),
    TimeExceeded(),
)

WAY_TO: dict[State, Sequence[Input]] = {
    State.WAITING: [],
    State.LISTENING: [CallerConnected()],
    State.TRANSCRIBING: [CallerConnected(), ENDED],
    State.THINKING: [CallerConnected(), ENDED, FINAL],
    State.SPEAKING: [CallerConnected(), ENDED, FINAL, SpeechBegan()],
    State.INTERRUPTED: [CallerConnected(), ENDED, FINAL, SpeechBegan(), SUSTAINED],
    State.ENDED: [TimeExceeded()],
}

LISTENING, THINKING, SPEAKING = PublishStatus("listening"), PublishStatus("thinking"), PublishStatus("speaking")
SAID, TYPED_WORDS = RecordCaller("what time is it"), RecordCaller("hello")
OVER = EndSession("max_duration")

OUTCOMES: dict[tuple[State, Input], tuple[State, list[Action]]] = {
    (State.WAITING, CallerConnected()): (State.LISTENING, [LISTENING]),
    (State.WAITING, SUSTAINED): (State.WAITING, []),
    (State.WAITING, ENDED): (State.WAITING, [DropUtterance(1)]),
    (State.WAITING, TimeExceeded()): (State.ENDED, [OVER]),
    (State.LISTENING, SUSTAINED): (State.LISTENING, []),
    (State.LISTENING, ENDED): (State.TRANSCRIBING, [FinishUtterance(1), THINKING]),
    (State.LISTENING, FINAL): (State.LISTENING, [SAID]),
    (State.LISTENING, TYPED): (State.THINKING, [TYPED_WORDS, THINKING, StartReply()]),
    (State.LISTENING, StopPressed()): (State.LISTENING, []),
    (State.LISTENING, TimeExceeded()): (State.ENDED, [OVER]),
    (State.TRANSCRIBING, SUSTAINED): (State.LISTENING, [LISTENING]),
    (State.TRANSCRIBING, ENDED): (State.TRANSCRIBING, [DropUtterance(1)]),
    (State.TRANSCRIBING, FINAL): (State.THINKING, [SAID, StartReply()]),
    (State.TRANSCRIBING, TYPED): (State.TRANSCRIBING, [TYPED_WORDS]),
    (State.TRANSCRIBING, StopPressed()): (State.LISTENING, [LISTENING]),
    (State.TRANSCRIBING, TimeExceeded()): (State.ENDED, [OVER]),
    (State.THINKING, SUSTAINED): (State.LISTENING, [CancelReply(), LISTENING]),
    (State.THINKING, ENDED): (State.THINKING, [DropUtterance(1)]),
    (State.THINKING, FINAL): (State.THINKING, [SAID]),
    (State.THINKING, TYPED): (State.THINKING, [CancelReply(), TYPED_WORDS, StartReply()]),
    (State.THINKING, StopPressed()): (State.LISTENING, [CancelReply(), LISTENING]),
    (State.THINKING, SpeechBegan()): (State.SPEAKING, [SPEAKING]),
    (State.THINKING, ReplyFinished()): (State.LISTENING, [LISTENING]),
    (State.THINKING, TimeExceeded()): (State.ENDED, [CancelReply(), OVER]),
    (State.SPEAKING, SUSTAINED): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.SPEAKING, ENDED): (State.SPEAKING, [DropUtterance(1)]),
    (State.SPEAKING, FINAL): (State.SPEAKING, [SAID]),
    (State.SPEAKING, TYPED): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.SPEAKING, StopPressed()): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.SPEAKING, SpeechBegan()): (State.SPEAKING, []),
    (State.SPEAKING, ReplyFinished()): (State.SPEAKING, []),
    (State.SPEAKING, TimeExceeded()): (State.SPEAKING, []),
    (State.INTERRUPTED, SUSTAINED): (State.INTERRUPTED, []),
    (State.INTERRUPTED, ENDED): (State.INTERRUPTED, [FinishUtterance(1)]),
    (State.INTERRUPTED, FINAL): (State.INTERRUPTED, []),
    (State.INTERRUPTED, TYPED): (State.INTERRUPTED, []),
    (State.INTERRUPTED, StopPressed()): (State.INTERRUPTED, []),
    (State.INTERRUPTED, PlayoutFlushed()): (State.LISTENING, [RecordAgent()]),
    (State.INTERRUPTED, TimeExceeded()): (State.INTERRUPTED, []),
    **{(State.ENDED, event): (State.ENDED, []) for event in INPUTS},
}


def turns_in(state: State, agent: AgentDefinition = AGENT) -> TurnTaking:
    turns = TurnTaking(agent)
    for event in WAY_TO[state]:
        turns.handle(event)
    assert turns.state is state
    return turns


def play(turns: TurnTaking, *inputs: Input) -> list[Action]:
    return [action for event in inputs for action in turns.handle(event)]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", INPUTS, ids=lambda event: type(event).__name__)
def test_every_input_in_every_state_is_defined_or_changes_nothing(state: State, event: Input) -> None:
    turns = turns_in(state)
    before = copy.deepcopy(vars(turns))
    if (state, event) in OUTCOMES:
        after, actions = OUTCOMES[state, event]
        assert turns.handle(event) == actions
        assert turns.state is after
    else:
        with pytest.raises(IllegalInput) as raised:
            turns.handle(event)
        assert raised.value.code == "illegal_input"
        assert vars(turns) == before


def test_a_turn_of_each() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, ReplyFinished(), PlayoutFinished()) == [RecordAgent(), LISTENING]
    assert turns.state is State.LISTENING


def test_playout_cannot_finish_before_the_reply_has() -> None:
    turns = turns_in(State.SPEAKING)
    with pytest.raises(IllegalInput):
        turns.handle(PlayoutFinished())
    assert turns.state is State.SPEAKING


def test_the_greeting_is_a_turn_that_needs_no_thought() -> None:
    turns = TurnTaking(AGENT.model_copy(update={"greeting": GREETING}))
    assert turns.handle(CallerConnected()) == [SPEAKING, StartGreeting()]
    assert play(turns, SpeechBegan(), ReplyFinished(), PlayoutFinished()) == [RecordAgent(), LISTENING]


def test_a_greeting_that_may_not_be_interrupted_is_heard_out_and_the_next_turn_may_be_interrupted() -> None:
    turns = TurnTaking(AGENT.model_copy(update={"greeting": Greeting(text="Recorded.", interruptible=False)}))
    play(turns, CallerConnected(), SpeechBegan())
    assert turns.handle(SUSTAINED) == []
    play(turns, ReplyFinished(), PlayoutFinished())
    assert play(turns, ENDED) == [FinishUtterance(1), THINKING]
    assert turns.handle(SUSTAINED) == [LISTENING]


@pytest.mark.parametrize("state", [State.TRANSCRIBING, State.THINKING, State.SPEAKING])
def test_without_barge_in_only_the_stop_button_and_text_take_the_floor(state: State) -> None:
    taking = AGENT.turn_taking.model_copy(update={"barge_in": False})
    agent = AGENT.model_copy(update={"turn_taking": taking})
    turns = turns_in(state, agent)
    assert turns.handle(SUSTAINED) == []
    assert turns.handle(UtteranceEnded(2, 9000)) == [DropUtterance(2)]
    assert turns.state is state
    turns.handle(StopPressed())
    assert turns.state is not state


def test_words_typed_over_the_agent_are_answered_once_it_is_known_what_was_heard() -> None:
    turns = turns_in(State.SPEAKING)
    play(turns, TYPED, TextTyped("are you there"))
    assert turns.handle(PlayoutFlushed()) == [
        RecordAgent(),
        TYPED_WORDS,
        RecordCaller("are you there"),
        THINKING,
        StartReply(),
    ]


def test_speech_over_the_agent_that_ends_before_the_flush_is_told_is_answered_after_it() -> None:
    turns = turns_in(State.INTERRUPTED)
    assert turns.handle(UtteranceEnded(2, 9000)) == [FinishUtterance(2)]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING]
    assert turns.handle(FinalText(2, "stop")) == [RecordCaller("stop"), StartReply()]


def test_final_text_before_the_flush_is_told_keeps_the_order_of_the_conversation() -> None:
    turns = turns_in(State.INTERRUPTED)
    play(turns, UtteranceEnded(2, 9000), FinalText(2, "stop"))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), RecordCaller("stop"), THINKING, StartReply()]


def test_speech_over_the_agent_that_is_not_understood_is_answered_too() -> None:
    turns = turns_in(State.INTERRUPTED)
    play(turns, UtteranceEnded(2, 9000), FinalText(2, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING, StartReply()]


def test_speech_that_is_not_understood_is_answered_but_not_recorded() -> None:
    assert turns_in(State.TRANSCRIBING).handle(FinalText(1, "")) == [StartReply()]


def test_a_caller_who_goes_on_after_a_pause_is_answered_once_with_all_words_recorded() -> None:
    turns = turns_in(State.TRANSCRIBING)
    assert play(turns, SUSTAINED, FINAL, UtteranceEnded(2, 9000)) == [LISTENING, SAID, FinishUtterance(2), THINKING]
    assert play(turns, FinalText(2, "in Rome")) == [RecordCaller("in Rome"), StartReply()]


def test_a_late_text_does_not_start_the_reply_that_waits_for_another() -> None:
    turns = turns_in(State.TRANSCRIBING)
    play(turns, SUSTAINED, UtteranceEnded(2, 9000))
    assert turns.handle(FINAL) == [SAID]
    assert turns.state is State.TRANSCRIBING


def test_a_farewell_ends_the_session_after_it_was_heard() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, ReplyFinished(end_call=True)) == []
    assert turns.handle(PlayoutFinished()) == [RecordAgent(), EndSession("agent_hangup")]


def test_a_silent_farewell_ends_the_session_at_once() -> None:
    assert turns_in(State.THINKING).handle(ReplyFinished(end_call=True)) == [EndSession("agent_hangup")]


def test_whoever_interrupts_a_farewell_is_listened_to() -> None:
    turns = turns_in(State.SPEAKING)
    play(turns, ReplyFinished(end_call=True), SUSTAINED)
    assert turns.handle(PlayoutFlushed()) == [RecordAgent()]
    assert turns.state is State.LISTENING


def test_at_the_end_of_its_time_a_session_lets_the_agent_finish_but_not_go_on() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, TimeExceeded(), ReplyFinished()) == []
    assert turns.handle(PlayoutFinished()) == [RecordAgent(), OVER]


def test_an_interruption_does_not_buy_time() -> None:
    turns = turns_in(State.SPEAKING)
    play(turns, TimeExceeded(), TYPED)
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), TYPED_WORDS, OVER]


@pytest.mark.parametrize("state", State)
def test_the_caller_is_heard_unless_the_agent_has_the_floor(state: State) -> None:
    heard = state in (State.LISTENING, State.TRANSCRIBING, State.INTERRUPTED)
    assert turns_in(state).hears_caller is heard


any_input = st.one_of(
    st.sampled_from([event for event in INPUTS if not isinstance(event, TimeExceeded)]),
    st.builds(UtteranceEnded, st.integers(1, 5), st.just(0)),
    st.builds(FinalText, st.integers(1, 5), st.sampled_from(["", "yes"])),
    st.builds(ReplyFinished, st.booleans()),
)
agents = st.builds(
    lambda barge_in, greeting: AGENT.model_copy(
        update={"turn_taking": AGENT.turn_taking.model_copy(update={"barge_in": barge_in}), "greeting": greeting}
    ),
    st.booleans(),
    st.sampled_from([None, GREETING, Greeting(text="Recorded.", interruptible=False)]),
)


@given(agents, st.lists(st.one_of(any_input, st.just(TimeExceeded())), max_size=60))
def test_in_any_order_of_events_one_speaks_at_a_time_and_nobody_after_the_end(
    agent: AgentDefinition, inputs: list[Input]
) -> None:
    turns = TurnTaking(agent)
    replying = unrecorded = over = False
    status = None
    for event in [CallerConnected(), *inputs]:
        before = copy.deepcopy(vars(turns))
        try:
            actions = turns.handle(event)
        except IllegalInput:
            assert vars(turns) == before
            continue
        if isinstance(event, ReplyFinished):
            replying = False
        for action in actions:
            assert not over
            match action:
                case StartReply() | StartGreeting():
                    assert not replying and not unrecorded
                    replying = unrecorded = True
                case CancelReply():
                    replying = unrecorded = False
                case StopSpeaking():
                    replying = False
                case RecordAgent():
                    assert unrecorded and not replying
                    unrecorded = False
                case PublishStatus(word):
                    assert word != status
                    status = word
                case EndSession():
                    over = True
        if turns.state is State.LISTENING:
            replying = unrecorded = False  # a reply without sound
    assert over is (turns.state is State.ENDED)


@given(agents, st.lists(any_input, max_size=40))
def test_whatever_happened_the_caller_gets_the_floor_back(agent: AgentDefinition, inputs: list[Input]) -> None:
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
                turns.handle(FinalText(awaited, "yes"))
            case State.THINKING:
                turns.handle(SpeechBegan())
            case State.SPEAKING:
                play(turns, ReplyFinished(), PlayoutFinished())
            case State.INTERRUPTED:
                turns.handle(PlayoutFlushed())
            case _:
                break
    assert turns.state in (State.LISTENING, State.ENDED)
