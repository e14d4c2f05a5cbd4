import pytest

from pipeline_worker.turns.events import (
    CallerConnected,
    CallerIdle,
    CancelReply,
    DismissSpeech,
    DropUtterance,
    EndLikely,
    EndSession,
    FinalText,
    FinishUtterance,
    Input,
    PauseSpeaking,
    PlayoutBegan,
    PlayoutFinished,
    PlayoutFlushed,
    RecordAgent,
    ReplyFinished,
    Say,
    SpeechBegan,
    StopPressed,
    TimeExceeded,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TurnTaking
from shared.agent import Greeting, Idle
from tests.pipeline_worker.turns.floor_scenes import (
    AGENT,
    BEGAN,
    ENDED,
    FAREWELLS,
    GREETING,
    INTERIM,
    LISTENING,
    OVER,
    PROLONGED,
    SPEAKING,
    SUSTAINED,
    THINKING,
    TYPED,
    TYPED_WORDS,
    ends_after,
    play,
    turns_in,
)


def test_the_greeting_is_a_turn_that_needs_no_thought() -> None:
    turns = TurnTaking(AGENT.model_copy(update={"greeting": GREETING}))
    assert turns.handle(CallerConnected()) == [SPEAKING, Say("Hello.")]
    assert play(turns, SpeechBegan(), ReplyFinished(), PlayoutFinished()) == [RecordAgent(), LISTENING]


def test_a_greeting_that_may_not_be_interrupted_is_heard_out_and_the_next_turn_may_be_interrupted() -> None:
    turns = TurnTaking(AGENT.model_copy(update={"greeting": Greeting(text="Recorded.", interruptible=False)}))
    play(turns, CallerConnected(), SpeechBegan())
    assert play(turns, BEGAN, SUSTAINED, PROLONGED, INTERIM, UtteranceEnded(1, 7000)) == [DropUtterance(1)]
    play(turns, ReplyFinished(), PlayoutFinished())
    assert play(turns, ENDED) == [FinishUtterance(1), THINKING]
    assert turns.handle(SUSTAINED) == [LISTENING]


def test_an_echo_in_the_first_moments_does_not_pause_the_agent_but_speech_does() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(2000), BEGAN, ENDED) == [DropUtterance(1), DismissSpeech()]
    assert play(turns, UtteranceStarted(2, 2000 + 4799), SUSTAINED) == [PauseSpeaking()]
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(2000), UtteranceStarted(1, 2000 + 4800)) == [PauseSpeaking()]


def test_a_caller_who_speaks_before_anything_is_heard_is_no_echo() -> None:
    turns = turns_in(State.SPEAKING)
    assert turns.handle(BEGAN) == [PauseSpeaking()]
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(3500), BEGAN) == [PauseSpeaking()]


def test_an_agent_without_an_apology_listens_on() -> None:
    turns = turns_in(State.TRANSCRIBING, AGENT.model_copy(update={"apology": ""}))
    assert turns.handle(FinalText(1, "", failed=True)) == [DismissSpeech(), LISTENING]


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


def test_a_silent_caller_is_prompted_and_then_hung_up_on() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    for prompt in ("Hello?", "Still there?"):
        assert turns.handle(CallerIdle()) == [SPEAKING, Say(prompt)]
        assert ends_after(turns) == [RecordAgent(), LISTENING]
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Goodbye.")]
    assert ends_after(turns) == [RecordAgent(), EndSession("user_idle")]


@pytest.mark.parametrize("sign", [[BEGAN, SUSTAINED, ENDED, FinalText(1, "")], [TYPED]])
def test_a_sign_of_life_begins_the_prompts_anew(sign: list[Input]) -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle())
    ends_after(turns)
    play(turns, *sign)
    ends_after(turns)
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Hello?")]


def test_whoever_is_silent_but_for_a_cough_hears_the_next_prompt() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle())
    ends_after(turns)
    play(turns, BEGAN, ENDED, FinalText(1, ""))
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Still there?")]


def test_a_short_word_whose_reply_was_prepared_restarts_the_prompts() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle())
    ends_after(turns)
    play(turns, BEGAN, EndLikely(1, "no"), ENDED, FinalText(1, "no"))
    ends_after(turns)
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Hello?")]


def test_whoever_answers_a_prompt_over_its_words_is_prompted_anew() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle(), SpeechBegan(), BEGAN, SUSTAINED, ENDED, FinalText(1, "no"), PlayoutFlushed())
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
