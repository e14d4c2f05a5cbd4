"""The agent's turn: greeting, prompts, replies, farewells and the end of the session."""

import pytest

from pipeline_worker.turns.events import (
    CallerConnected,
    CallerIdle,
    CancelReply,
    DropUtterance,
    EndLikely,
    EndSession,
    FinalText,
    FinishUtterance,
    Input,
    PlayoutFinished,
    PlayoutFlushed,
    RecordAgent,
    ReplyFinished,
    Say,
    SpeechBegan,
    StopPressed,
    TimeExceeded,
    UtteranceEnded,
)
from pipeline_worker.turns.state import State
from pipeline_worker.turns.table import TurnTaking
from shared.agent import Greeting, Idle
from tests.pipeline_worker.turns.scenarios import (
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
    finish_turn,
    play,
    turns_in,
)


def test_the_greeting_is_said_when_the_caller_is_connected() -> None:
    turns = TurnTaking(AGENT.model_copy(update={"greeting": GREETING}))
    assert turns.handle(CallerConnected()) == [SPEAKING, Say("Hello.")]
    assert play(turns, SpeechBegan(), ReplyFinished(), PlayoutFinished()) == [RecordAgent(), LISTENING]


def test_only_the_greeting_that_is_not_interruptible_is_protected_from_interruptions() -> None:
    turns = TurnTaking(AGENT.model_copy(update={"greeting": Greeting(text="Recorded.", interruptible=False)}))
    play(turns, CallerConnected(), SpeechBegan())
    assert play(turns, BEGAN, SUSTAINED, PROLONGED, INTERIM, UtteranceEnded(1, 7000)) == [DropUtterance(1)]
    play(turns, ReplyFinished(), PlayoutFinished())
    assert play(turns, ENDED) == [FinishUtterance(1), THINKING]
    assert turns.handle(SUSTAINED) == [LISTENING]


def test_when_the_agent_hangs_up_the_session_ends_after_playout() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, ReplyFinished(end_call=True)) == []
    assert turns.handle(PlayoutFinished()) == [RecordAgent(), EndSession("agent_hangup")]


def test_when_the_agent_hangs_up_without_a_word_the_session_ends_at_once() -> None:
    assert turns_in(State.THINKING).handle(ReplyFinished(end_call=True)) == [EndSession("agent_hangup")]


def test_a_caller_who_interrupts_a_farewell_keeps_the_session_open() -> None:
    turns = turns_in(State.SPEAKING)
    play(turns, ReplyFinished(end_call=True), BEGAN, SUSTAINED, PROLONGED)
    assert turns.handle(PlayoutFlushed()) == [RecordAgent()]
    assert turns.state is State.LISTENING


def test_when_time_is_exceeded_the_session_ends_after_the_agents_turn() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, TimeExceeded(), ReplyFinished()) == []
    assert turns.handle(PlayoutFinished()) == [RecordAgent(), OVER]


def test_an_interruption_does_not_extend_the_sessions_time() -> None:
    turns = turns_in(State.SPEAKING)
    play(turns, TimeExceeded(), TYPED)
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), TYPED_WORDS, OVER]


def test_a_silent_caller_is_prompted_and_then_hung_up_on() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    for prompt in ("Hello?", "Still there?"):
        assert turns.handle(CallerIdle()) == [SPEAKING, Say(prompt)]
        assert finish_turn(turns) == [RecordAgent(), LISTENING]
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Goodbye.")]
    assert finish_turn(turns) == [RecordAgent(), EndSession("user_idle")]


@pytest.mark.parametrize("sign", [[BEGAN, SUSTAINED, ENDED, FinalText(1, "")], [TYPED]])
def test_speech_or_text_restarts_the_prompts(sign: list[Input]) -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle())
    finish_turn(turns)
    play(turns, *sign)
    finish_turn(turns)
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Hello?")]


def test_a_cough_does_not_restart_the_prompts() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle())
    finish_turn(turns)
    play(turns, BEGAN, ENDED, FinalText(1, ""))
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Still there?")]


def test_a_short_word_whose_reply_was_prepared_restarts_the_prompts() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle())
    finish_turn(turns)
    play(turns, BEGAN, EndLikely(1, "no"), ENDED, FinalText(1, "no"))
    finish_turn(turns)
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Hello?")]


def test_an_answer_that_interrupts_a_prompt_restarts_the_prompts() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    play(turns, CallerIdle(), SpeechBegan(), BEGAN, SUSTAINED, ENDED, FinalText(1, "no"), PlayoutFlushed())
    finish_turn(turns)
    assert turns.handle(CallerIdle()) == [SPEAKING, Say("Hello?")]


def test_without_prompts_and_farewell_a_silent_caller_is_hung_up_on_at_once() -> None:
    turns = turns_in(
        State.LISTENING, AGENT.model_copy(update={"idle": Idle(prompt_after_s=10, prompts=(), farewell=None)})
    )
    assert turns.handle(CallerIdle()) == [EndSession("user_idle")]


def test_a_silent_caller_who_interrupts_the_farewell_keeps_the_session_open() -> None:
    turns = turns_in(
        State.LISTENING, FAREWELLS.model_copy(update={"idle": Idle(prompt_after_s=10, prompts=(), farewell="Goodbye.")})
    )
    play(turns, CallerIdle(), SpeechBegan(), BEGAN, SUSTAINED, PROLONGED)
    assert turns.handle(PlayoutFlushed()) == [RecordAgent()]
    assert play(turns, ENDED, FinalText(1, ""), SpeechBegan(), ReplyFinished(), PlayoutFinished(), CallerIdle())[
        -1:
    ] == [Say("Goodbye.")]


def test_speech_does_not_interrupt_the_farewell_when_time_is_exceeded() -> None:
    turns = turns_in(State.LISTENING, FAREWELLS)
    assert turns.handle(TimeExceeded()) == [SPEAKING, Say("Our time is over.")]
    assert play(turns, BEGAN, SUSTAINED, PROLONGED) == []
    assert finish_turn(turns) == [RecordAgent(), OVER]


@pytest.mark.parametrize("state", [State.SPEAKING, State.PAUSED])
def test_the_agent_finishes_its_turn_before_the_farewell(state: State) -> None:
    turns = turns_in(state, FAREWELLS)
    play(turns, TimeExceeded(), ReplyFinished())
    assert turns.handle(PlayoutFinished())[-2:] == [RecordAgent(), Say("Our time is over.")]
    assert finish_turn(turns) == [RecordAgent(), OVER]


def test_an_interrupted_farewell_is_not_said_again() -> None:
    turns = turns_in(State.THINKING, FAREWELLS)
    assert turns.handle(TimeExceeded()) == [CancelReply(), SPEAKING, Say("Our time is over.")]
    play(turns, StopPressed())
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), OVER]


def test_after_the_agents_turn_the_caller_has_the_floor() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, ReplyFinished(), PlayoutFinished()) == [RecordAgent(), LISTENING]
    assert turns.state is State.LISTENING
