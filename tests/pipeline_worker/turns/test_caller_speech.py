"""The caller's speech and text, and the replies that are prepared for it."""

import pytest

from pipeline_worker.turns.events import (
    CallerIdle,
    DiscardReply,
    DismissSpeech,
    EndLikely,
    FinalText,
    FinishUtterance,
    Input,
    PrepareReply,
    RecordCaller,
    ReleaseReply,
    Say,
    SpeechBegan,
    StartReply,
    StopPressed,
    TimeExceeded,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.state import State
from tests.pipeline_worker.turns.scenarios import (
    AGENT,
    BEGAN,
    ENDED,
    FINAL,
    LIKELY,
    LISTENING,
    OVER,
    PROMPT,
    RESUMED,
    SAID,
    SPEAKING,
    SUSTAINED,
    THINKING,
    TYPED,
    TYPED_WORDS,
    agent_with,
    play,
    turns_in,
)


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


def test_another_likely_end_prepares_another_reply_only_for_other_words() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, LIKELY)
    assert turns.handle(EndLikely(1, "What time is it?")) == []
    assert turns.handle(EndLikely(1, "what time is it now")) == [DiscardReply(), PrepareReply("what time is it now")]


def test_a_reply_that_was_prepared_for_punctuation_does_not_answer_an_empty_text() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, SUSTAINED, EndLikely(1, "..."), ENDED)
    assert turns.handle(FinalText(1, "")) == [DiscardReply(), StartReply()]


@pytest.mark.parametrize("goes_on", [[RESUMED], [ENDED, SUSTAINED], [ENDED, StopPressed()], [ENDED, TYPED]])
def test_a_change_of_the_conversation_discards_the_prepared_reply(goes_on: list[Input]) -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, LIKELY)
    assert DiscardReply() in play(turns, *goes_on)


def test_the_end_of_the_session_discards_the_prepared_reply() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, LIKELY, TimeExceeded())[1:] == [DiscardReply(), OVER]


def test_a_prompt_discards_the_prepared_reply() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, LIKELY, CallerIdle())[1:] == [DiscardReply(), SPEAKING, PROMPT]


def test_without_speculation_no_reply_is_prepared() -> None:
    assert turns_in(State.LISTENING, agent_with(speculative=False)).handle(LIKELY) == []


def test_text_that_is_typed_while_the_caller_speaks_is_answered_together_with_their_speech() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, TYPED, ENDED, FINAL) == [TYPED_WORDS, FinishUtterance(1), THINKING, SAID, StartReply()]


def test_the_agent_apologises_for_a_recogniser_failure() -> None:
    turns = turns_in(State.TRANSCRIBING)
    assert turns.handle(FinalText(1, "", failed=True)) == [SPEAKING, Say(AGENT.apology)]


def test_sustained_speech_without_words_gets_a_reply_but_is_not_recorded() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "")) == [StartReply()]


def test_a_cough_gets_no_reply() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, ENDED, FinalText(1, "")) == [FinishUtterance(1), THINKING, DismissSpeech(), LISTENING]
    assert turns.state is State.LISTENING


def test_a_word_as_short_as_a_cough_is_answered() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, ENDED, FinalText(1, "no"))[-2:] == [RecordCaller("no"), StartReply()]


@pytest.mark.parametrize("failed", [False, True])
def test_text_that_is_typed_during_a_cough_is_answered(failed: bool) -> None:
    turns = turns_in(State.LISTENING, AGENT.model_copy(update={"apology": ""}))
    play(turns, BEGAN, TYPED, ENDED)
    assert turns.handle(FinalText(1, "", failed)) == [StartReply()]


def test_a_cough_does_not_bring_back_a_reply_that_was_stopped() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, StopPressed(), BEGAN, ENDED, FinalText(1, ""))[-1] == LISTENING
    assert turns.state is State.LISTENING


def test_a_cough_does_not_cancel_the_reply_to_speech_that_is_awaited() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, SUSTAINED, ENDED, UtteranceStarted(2, 9000), UtteranceEnded(2, 9500))
    assert turns.handle(FinalText(1, "")) == [StartReply()]


def test_a_caller_who_continues_after_a_pause_gets_one_reply_to_all_their_words() -> None:
    turns = turns_in(State.TRANSCRIBING)
    assert play(turns, SUSTAINED, FINAL, UtteranceEnded(2, 9000)) == [LISTENING, SAID, FinishUtterance(2), THINKING]
    assert play(turns, FinalText(2, "in Rome")) == [RecordCaller("in Rome"), StartReply()]


def test_a_late_text_does_not_start_the_reply_that_awaits_another_utterance() -> None:
    turns = turns_in(State.TRANSCRIBING)
    play(turns, SUSTAINED, UtteranceEnded(2, 9000))
    assert turns.handle(FINAL) == [SAID]
    assert turns.state is State.TRANSCRIBING


def test_after_a_recogniser_failure_an_agent_without_an_apology_keeps_listening() -> None:
    turns = turns_in(State.TRANSCRIBING, AGENT.model_copy(update={"apology": ""}))
    assert turns.handle(FinalText(1, "", failed=True)) == [DismissSpeech(), LISTENING]
