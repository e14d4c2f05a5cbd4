from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.core.endpointing import EndLikely, UtteranceEnded, UtteranceResumed, UtteranceStarted
from pipeline_worker.core.floor import IllegalInput, State
from pipeline_worker.core.talkspurts import SpeechProlonged, SpeechSustained
from pipeline_worker.core.turn_events import (
    Action,
    CallerConnected,
    CallerIdle,
    CancelReply,
    DiscardReply,
    DropUtterance,
    EndSession,
    FinalText,
    FinishUtterance,
    Input,
    InterimText,
    PauseExpired,
    PauseSpeaking,
    PlayoutBegan,
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
    TextTyped,
    TimeExceeded,
)
from pipeline_worker.core.turn_taking import TABLE, TurnTaking
from shared.agent import AgentDefinition, Greeting, Idle, Limits

AGENT = AgentDefinition(id="a", name="A")
GREETING = Greeting(text="Hello.")

BEGAN = UtteranceStarted(1, 3000)
SUSTAINED, PROLONGED = SpeechSustained(4000), SpeechProlonged(9000)
LIKELY, RESUMED = EndLikely(1, "what time is it"), UtteranceResumed(1)
ENDED = UtteranceEnded(1, 8000)
INTERIM = InterimText(1, "what time")
FINAL = FinalText(1, "what time is it")
TYPED = TextTyped("hello")

INPUTS: tuple[Input, ...] = (
    CallerConnected(),
    BEGAN,
    SUSTAINED,
    PROLONGED,
    INTERIM,
    LIKELY,
    RESUMED,
    ENDED,
    FINAL,
    TYPED,
    StopPressed(),
    SpeechBegan(),
    PlayoutBegan(2000),
    ReplyFinished(),
    PlayoutFinished(),
    PlayoutFlushed(),
    PauseExpired(),
    CallerIdle(),
    TimeExceeded(),
)

WAY_TO: dict[State, Sequence[Input]] = {
    State.WAITING: [],
    State.LISTENING: [CallerConnected()],
    State.TRANSCRIBING: [CallerConnected(), ENDED],
    State.THINKING: [CallerConnected(), ENDED, FINAL],
    State.SPEAKING: [CallerConnected(), ENDED, FINAL, SpeechBegan()],
    State.PAUSED: [CallerConnected(), ENDED, FINAL, SpeechBegan(), BEGAN],
    State.INTERRUPTED: [CallerConnected(), ENDED, FINAL, SpeechBegan(), StopPressed()],
    State.ENDED: [TimeExceeded()],
}

LISTENING, THINKING, SPEAKING = PublishStatus("listening"), PublishStatus("thinking"), PublishStatus("speaking")
SAID, TYPED_WORDS = RecordCaller("what time is it"), RecordCaller("hello")
OVER = EndSession("max_duration")
PROMPT = Say("Are you still there?")

OUTCOMES: dict[tuple[State, Input], tuple[State, list[Action]]] = {
    (State.WAITING, CallerConnected()): (State.LISTENING, [LISTENING]),
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
    (State.THINKING, ENDED): (State.THINKING, [DropUtterance(1)]),
    (State.THINKING, FINAL): (State.THINKING, [SAID]),
    (State.THINKING, TYPED): (State.THINKING, [CancelReply(), TYPED_WORDS, StartReply()]),
    (State.THINKING, StopPressed()): (State.LISTENING, [CancelReply(), LISTENING]),
    (State.THINKING, SpeechBegan()): (State.SPEAKING, [SPEAKING]),
    (State.THINKING, ReplyFinished()): (State.LISTENING, [LISTENING]),
    (State.THINKING, TimeExceeded()): (State.ENDED, [CancelReply(), OVER]),
    (State.SPEAKING, BEGAN): (State.PAUSED, [PauseSpeaking()]),
    (State.SPEAKING, SUSTAINED): (State.PAUSED, [PauseSpeaking()]),
    (State.SPEAKING, ENDED): (State.SPEAKING, [DropUtterance(1)]),
    (State.SPEAKING, FINAL): (State.SPEAKING, [SAID]),
    (State.SPEAKING, TYPED): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.SPEAKING, StopPressed()): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.PAUSED, PROLONGED): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.PAUSED, ENDED): (State.SPEAKING, [DropUtterance(1), ResumeSpeaking()]),
    (State.PAUSED, FINAL): (State.PAUSED, [SAID]),
    (State.PAUSED, TYPED): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.PAUSED, StopPressed()): (State.INTERRUPTED, [StopSpeaking(), LISTENING]),
    (State.PAUSED, PauseExpired()): (State.SPEAKING, [ResumeSpeaking()]),
    (State.INTERRUPTED, ENDED): (State.INTERRUPTED, [FinishUtterance(1)]),
    (State.INTERRUPTED, PlayoutFlushed()): (State.LISTENING, [RecordAgent()]),
}
"""What is told to nobody, and changes no state, is not written down: see `TABLE`."""


def turns_in(state: State, agent: AgentDefinition = AGENT) -> TurnTaking:
    turns = TurnTaking(agent)
    for event in WAY_TO[state]:
        turns.handle(event)
    assert turns.state is state
    return turns


def memory(turns: TurnTaking) -> dict[str, object]:
    return {name: repr(value) for name, value in vars(turns._floor).items() if name not in ("_agent", "_words")}


def play(turns: TurnTaking, *inputs: Input) -> list[Action]:
    return [action for event in inputs for action in turns.handle(event)]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", INPUTS, ids=lambda event: type(event).__name__)
def test_every_input_in_every_state_is_defined_or_changes_nothing(state: State, event: Input) -> None:
    turns = turns_in(state)
    before = memory(turns)
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
        assert memory(turns) == before


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
    assert turns.handle(CallerConnected()) == [SPEAKING, Say("Hello.")]
    assert play(turns, SpeechBegan(), ReplyFinished(), PlayoutFinished()) == [RecordAgent(), LISTENING]


def agent_with(**turn_taking: object) -> AgentDefinition:
    return AGENT.model_copy(update={"turn_taking": AGENT.turn_taking.model_copy(update=turn_taking)})


def test_a_greeting_that_may_not_be_interrupted_is_heard_out_and_the_next_turn_may_be_interrupted() -> None:
    turns = TurnTaking(AGENT.model_copy(update={"greeting": Greeting(text="Recorded.", interruptible=False)}))
    play(turns, CallerConnected(), SpeechBegan())
    assert play(turns, BEGAN, SUSTAINED, PROLONGED, INTERIM, UtteranceEnded(1, 7000)) == [DropUtterance(1)]
    play(turns, ReplyFinished(), PlayoutFinished())
    assert play(turns, ENDED) == [FinishUtterance(1), THINKING]
    assert turns.handle(SUSTAINED) == [LISTENING]


@pytest.mark.parametrize("state", [State.TRANSCRIBING, State.THINKING, State.SPEAKING])
def test_without_barge_in_only_the_stop_button_and_text_take_the_floor(state: State) -> None:
    turns = turns_in(state, agent_with(barge_in=False))
    assert play(turns, BEGAN, SUSTAINED, PROLONGED) == []
    assert turns.handle(UtteranceEnded(2, 9000)) == [DropUtterance(2)]
    assert turns.state is state
    turns.handle(StopPressed())
    assert turns.state is not state


# A sound over the agent


def test_a_cough_pauses_the_agent_only_as_long_as_it_lasts() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, ENDED) == [PauseSpeaking(), DropUtterance(1), ResumeSpeaking()]


def test_a_backchannel_is_heard_out_and_the_agent_goes_on() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, SUSTAINED, InterimText(1, "uh"), ENDED) == [PauseSpeaking(), FinishUtterance(1)]
    assert turns.handle(FinalText(1, "Uh-huh.")) == [ResumeSpeaking()]
    assert turns.state is State.SPEAKING


@pytest.mark.parametrize("failed", [False, True])
def test_a_noise_that_is_no_words_is_not_answered(failed: bool) -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "", failed)) == [ResumeSpeaking()]


def test_words_take_the_floor_as_soon_as_they_are_understood() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, INTERIM) == [PauseSpeaking()]
    assert turns.handle(SUSTAINED) == [StopSpeaking(), LISTENING]
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, SUSTAINED) == [PauseSpeaking()]
    assert turns.handle(INTERIM) == [StopSpeaking(), LISTENING]


def test_a_short_word_takes_the_floor_when_it_is_known_what_it_was() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "No!")) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), RecordCaller("No!"), THINKING, StartReply()]


def test_who_goes_on_after_a_short_word_is_answered_when_all_is_said() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, UtteranceStarted(2, 9000), SUSTAINED)
    assert turns.handle(FinalText(1, "No!")) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), RecordCaller("No!")]
    assert play(turns, UtteranceEnded(2, 12_000), FinalText(2, "Friday")) == [
        FinishUtterance(2),
        THINKING,
        RecordCaller("Friday"),
        StartReply(),
    ]


def test_two_sounds_are_both_decided_before_the_agent_goes_on() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, UtteranceStarted(2, 9000))
    assert turns.handle(FinalText(1, "mhm")) == []
    play(turns, SUSTAINED, UtteranceEnded(2, 12_000))
    assert turns.state is State.PAUSED
    assert turns.handle(FinalText(2, "yeah")) == [ResumeSpeaking()]


def test_when_nobody_can_tell_in_time_the_agent_goes_on_and_late_words_still_count() -> None:
    turns = turns_in(State.PAUSED)
    assert play(turns, SUSTAINED, ENDED, PauseExpired()) == [FinishUtterance(1), ResumeSpeaking()]
    assert turns.handle(FINAL) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), SAID, THINKING, StartReply()]


def test_a_late_backchannel_changes_nothing() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, PauseExpired())
    assert turns.handle(FinalText(1, "yes")) == []


def test_what_is_said_over_the_agents_last_words_is_an_answer() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ReplyFinished(), ENDED)
    assert turns.handle(PlayoutFinished()) == [ResumeSpeaking(), RecordAgent(), THINKING]
    assert turns.handle(FinalText(1, "yes")) == [RecordCaller("yes"), StartReply()]


def test_an_agent_that_was_just_finishing_when_it_paused_has_finished() -> None:
    turns = turns_in(State.PAUSED)
    assert play(turns, ReplyFinished(), PlayoutFinished()) == [ResumeSpeaking(), RecordAgent(), LISTENING]
    assert play(turns, ENDED) == [FinishUtterance(1), THINKING]


def test_an_agent_may_want_several_words_before_it_gives_way() -> None:
    turns = turns_in(State.SPEAKING, agent_with(barge_in_words=3))
    assert play(turns, BEGAN, SUSTAINED, INTERIM, PROLONGED) == [PauseSpeaking()]
    assert turns.handle(PauseExpired()) == [ResumeSpeaking()]
    assert turns.handle(InterimText(1, "what time is")) == [StopSpeaking(), LISTENING]


def test_without_backchannels_speech_alone_takes_the_floor() -> None:
    turns = turns_in(State.SPEAKING, agent_with(backchannels=()))
    assert play(turns, BEGAN, SUSTAINED) == [PauseSpeaking(), StopSpeaking(), LISTENING]
    turns = turns_in(State.SPEAKING, agent_with(backchannels=()))
    play(turns, PlayoutBegan(2900), BEGAN)
    assert turns.handle(SUSTAINED) == [StopSpeaking(), LISTENING]


def test_an_echo_in_the_first_moments_does_not_pause_the_agent_but_speech_does() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(2000), BEGAN, ENDED) == [DropUtterance(1)]
    assert play(turns, UtteranceStarted(2, 2000 + 4799), SUSTAINED) == [PauseSpeaking()]
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(2000), UtteranceStarted(1, 2000 + 4800)) == [PauseSpeaking()]


def test_a_caller_who_speaks_before_anything_is_heard_is_no_echo() -> None:
    turns = turns_in(State.SPEAKING)
    assert turns.handle(BEGAN) == [PauseSpeaking()]
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(3500), BEGAN) == [PauseSpeaking()]


def test_a_noise_while_the_agent_thinks_changes_nothing() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED) == [FinishUtterance(1)]
    assert turns.handle(FinalText(1, "uh-huh")) == []
    assert turns.handle(SpeechBegan()) == [SPEAKING]


def test_words_while_the_agent_thinks_make_it_think_again() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, INTERIM) == [CancelReply(), LISTENING]
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, INTERIM, SUSTAINED) == [CancelReply(), LISTENING]
    turns = turns_in(State.THINKING)
    play(turns, BEGAN, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "in Rome")) == [CancelReply(), RecordCaller("in Rome"), StartReply()]


def test_an_agent_does_not_begin_before_it_is_known_what_the_caller_said() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED, SpeechBegan()) == [FinishUtterance(1), SPEAKING, PauseSpeaking()]
    assert turns.handle(FinalText(1, "okay")) == [ResumeSpeaking()]


def test_what_is_said_while_the_agent_thinks_of_nothing_is_answered() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED, ReplyFinished()) == [FinishUtterance(1)]
    assert turns.handle(FinalText(1, "yes")) == [RecordCaller("yes"), StartReply()]


def test_an_agent_does_not_begin_while_the_caller_makes_a_sound() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SpeechBegan()) == [SPEAKING, PauseSpeaking()]
    assert turns.handle(ENDED) == [DropUtterance(1), ResumeSpeaking()]


# Prepared replies


def test_a_reply_that_was_prepared_for_the_final_words_is_released() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, LIKELY, ENDED) == [PrepareReply("what time is it"), FinishUtterance(1), THINKING]
    assert turns.handle(FinalText(1, "What time is it?")) == [RecordCaller("What time is it?"), ReleaseReply()]
    assert turns.handle(SpeechBegan()) == [SPEAKING]


def test_a_reply_that_was_prepared_for_other_words_is_discarded() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, LIKELY, ENDED)
    assert turns.handle(FinalText(1, "what time is it in Rome")) == [
        DiscardReply(),
        RecordCaller("what time is it in Rome"),
        StartReply(),
    ]


def test_a_likely_end_that_is_told_again_prepares_again_only_for_other_words() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, LIKELY)
    assert turns.handle(EndLikely(1, "What time is it?")) == []
    assert turns.handle(EndLikely(1, "what time is it now")) == [DiscardReply(), PrepareReply("what time is it now")]


def test_a_reply_that_was_prepared_for_mere_marks_does_not_answer_what_was_not_understood() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, EndLikely(1, "..."), ENDED)
    assert turns.handle(FinalText(1, "")) == [DiscardReply(), StartReply()]


@pytest.mark.parametrize("goes_on", [[RESUMED], [ENDED, SUSTAINED], [ENDED, StopPressed()], [ENDED, TYPED]])
def test_whatever_changes_the_conversation_discards_the_prepared_reply(goes_on: list[Input]) -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, LIKELY)
    assert DiscardReply() in play(turns, *goes_on)


def test_time_that_is_over_discards_the_prepared_reply_before_the_end() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, LIKELY, TimeExceeded())[1:] == [DiscardReply(), OVER]


def test_an_agent_that_does_not_speculate_prepares_nothing() -> None:
    assert turns_in(State.LISTENING, agent_with(speculative=False)).handle(LIKELY) == []


# Texts


def test_text_that_is_typed_while_the_caller_speaks_is_answered_together_with_what_they_say() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, TYPED, ENDED, FINAL) == [TYPED_WORDS, FinishUtterance(1), THINKING, SAID, StartReply()]


def test_a_recogniser_that_fails_is_apologised_for() -> None:
    turns = turns_in(State.TRANSCRIBING)
    assert turns.handle(FinalText(1, "", failed=True)) == [SPEAKING, Say(AGENT.apology)]


def test_an_agent_without_an_apology_listens_on() -> None:
    turns = turns_in(State.TRANSCRIBING, AGENT.model_copy(update={"apology": ""}))
    assert turns.handle(FinalText(1, "", failed=True)) == [LISTENING]


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


def test_late_text_without_words_is_not_held() -> None:
    turns = turns_in(State.INTERRUPTED)
    play(turns, UtteranceEnded(2, 9000), FinalText(1, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING]


def test_long_speech_over_the_agent_that_is_not_understood_is_answered_too() -> None:
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
    play(turns, ReplyFinished(end_call=True), BEGAN, SUSTAINED, PROLONGED)
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


def ends_after(turns: TurnTaking) -> list[Action]:
    """The agent says what it has begun to say."""
    return play(turns, SpeechBegan(), ReplyFinished(), PlayoutFinished())


FAREWELLS = AGENT.model_copy(
    update={
        "limits": Limits(farewell="Our time is over."),
        "idle": Idle(prompt_after_s=10, prompts=("Hello?", "Still there?"), farewell="Goodbye."),
    }
)


def test_a_silent_caller_is_prompted_and_then_hung_up_on() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    for prompt in ("Hello?", "Still there?"):
        assert turns.handle(CallerIdle()) == [SPEAKING, Say(prompt)]
        assert ends_after(turns) == [RecordAgent(), LISTENING]
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Goodbye.")]
    assert ends_after(turns) == [RecordAgent(), EndSession("user_idle")]


@pytest.mark.parametrize("sign", [[BEGAN, ENDED, FinalText(1, "")], [TYPED]])
def test_a_sign_of_life_begins_the_prompts_anew(sign: list[Input]) -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle())
    ends_after(turns)
    play(turns, *sign)
    ends_after(turns)
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Hello?")]


def test_without_prompts_and_farewell_a_silent_caller_is_hung_up_on() -> None:
    turns = turns_in(
        State.LISTENING, AGENT.model_copy(update={"idle": Idle(prompt_after_s=10, prompts=(), farewell=None)})
    )
    assert turns.handle(CallerIdle()) == [EndSession("user_idle")]


def test_whoever_interrupts_the_farewell_to_the_silent_goes_on() -> None:
    turns = turns_in(
        State.LISTENING, FAREWELLS.model_copy(update={"idle": Idle(prompt_after_s=10, prompts=(), farewell="Goodbye.")})
    )
    play(turns, CallerIdle(), SpeechBegan(), BEGAN, SUSTAINED, PROLONGED)
    assert turns.handle(PlayoutFlushed()) == [RecordAgent()]
    assert play(turns, ENDED, FinalText(1, ""), SpeechBegan(), ReplyFinished(), PlayoutFinished(), CallerIdle())[
        -1:
    ] == [Say("Goodbye.")]


def test_the_farewell_at_the_end_of_the_time_is_heard_out() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    assert turns.handle(TimeExceeded()) == [SPEAKING, Say("Our time is over.")]
    assert play(turns, BEGAN, SUSTAINED, PROLONGED) == []
    assert ends_after(turns) == [RecordAgent(), OVER]


@pytest.mark.parametrize("state", [State.SPEAKING, State.PAUSED])
def test_the_agent_finishes_its_sentence_before_the_farewell(state: State) -> None:
    turns = turns_in(state, FAREWELLS)
    play(turns, TimeExceeded(), ReplyFinished())
    assert turns.handle(PlayoutFinished())[-2:] == [RecordAgent(), Say("Our time is over.")]
    assert ends_after(turns) == [RecordAgent(), OVER]


def test_an_interrupted_farewell_is_not_said_again() -> None:
    turns = turns_in(State.THINKING, FAREWELLS)
    assert turns.handle(TimeExceeded()) == [CancelReply(), SPEAKING, Say("Our time is over.")]
    play(turns, StopPressed())
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), OVER]


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
        update={
            "turn_taking": AGENT.turn_taking.model_copy(update=taking),
            "greeting": greeting,
            "apology": apology,
        }
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
    """What anyone who carries out the actions may rely on."""

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


@given(agents, st.lists(st.one_of(any_input, st.just(TimeExceeded())), max_size=60))
def test_in_any_order_of_events_one_speaks_at_a_time_and_nobody_after_the_end(
    agent: AgentDefinition, inputs: list[Input]
) -> None:
    turns = TurnTaking(agent)
    audit = Auditor()
    for event in [CallerConnected(), *inputs]:
        before, was = memory(turns), turns.state
        try:
            actions = turns.handle(event)
        except IllegalInput:
            assert memory(turns) == before
            continue
        assert turns.state is was or turns.state in TABLE[was, type(event)].leads_to
        if isinstance(event, ReplyFinished):
            audit.replying = False
        if was is State.THINKING and isinstance(event, ReplyFinished):
            audit.unrecorded = False  # a reply without sound
        for action in actions:
            audit.check(action)
        assert audit.paused is (turns.state is State.PAUSED)
    assert audit.over is (turns.state is State.ENDED)


@given(agents, st.lists(any_input, max_size=40))
def test_whatever_happened_the_caller_gets_the_floor_back(agent: AgentDefinition, inputs: list[Input]) -> None:
    """By what must come: engines answer or fail, playout is reported or taken for heard, pauses expire."""
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
                for utterance in range(6):  # those that were asked for before, too
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
