"""Speech over the agent: barge-in, backchannels and noise."""

import pytest

from pipeline_worker.turns.events import (
    CancelReply,
    DismissSpeech,
    DropUtterance,
    FinalText,
    FinishUtterance,
    Input,
    InterimText,
    PauseExpired,
    PauseSpeaking,
    PlayoutBegan,
    PlayoutFinished,
    PlayoutFlushed,
    RecordAgent,
    RecordCaller,
    ReplyFinished,
    ResumeSpeaking,
    SpeechBegan,
    StartReply,
    StopPressed,
    StopSpeaking,
    TextTyped,
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.state import State
from tests.pipeline_worker.turns.scenarios import (
    AGENT,
    BEGAN,
    ENDED,
    FINAL,
    INTERIM,
    LISTENING,
    PROLONGED,
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


@pytest.mark.parametrize("state", [State.TRANSCRIBING, State.THINKING, State.SPEAKING])
def test_without_barge_in_the_stop_button_takes_the_floor_and_speech_does_not(state: State) -> None:
    turns = turns_in(state, agent_with(barge_in=False))
    assert play(turns, BEGAN, SUSTAINED, PROLONGED) == []
    assert turns.handle(UtteranceEnded(2, 9000)) == [DropUtterance(2)]
    assert turns.state is state
    turns.handle(StopPressed())
    assert turns.state is not state


def test_the_agent_resumes_when_a_cough_ends() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, ENDED) == [PauseSpeaking(), DropUtterance(1), DismissSpeech(), ResumeSpeaking()]


def test_the_agent_resumes_after_a_backchannel() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, SUSTAINED, InterimText(1, "uh"), ENDED) == [PauseSpeaking(), FinishUtterance(1)]
    assert turns.handle(FinalText(1, "Uh-huh.")) == [DismissSpeech(), ResumeSpeaking()]
    assert turns.state is State.SPEAKING


@pytest.mark.parametrize("failed", [False, True])
def test_the_agent_resumes_after_a_noise_without_words(failed: bool) -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "", failed)) == [DismissSpeech(), ResumeSpeaking()]


def test_words_take_the_floor_as_soon_as_they_are_understood_and_sustained() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, INTERIM) == [PauseSpeaking()]
    assert turns.handle(SUSTAINED) == [StopSpeaking(), LISTENING]
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, SUSTAINED) == [PauseSpeaking()]
    assert turns.handle(INTERIM) == [StopSpeaking(), LISTENING]


def test_a_short_word_takes_the_floor_with_its_final_text() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "No!")) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), RecordCaller("No!"), THINKING, StartReply()]


def test_a_caller_who_continues_after_a_short_word_is_answered_when_they_have_finished() -> None:
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


def test_the_agent_resumes_only_when_all_sounds_are_decided() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, UtteranceStarted(2, 9000))
    assert turns.handle(FinalText(1, "mhm")) == []
    play(turns, SUSTAINED, UtteranceEnded(2, 12_000))
    assert turns.state is State.PAUSED
    assert turns.handle(FinalText(2, "yeah")) == [DismissSpeech(), ResumeSpeaking()]


def test_a_cough_does_not_resume_the_agent_while_an_earlier_word_is_undecided() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, UtteranceStarted(2, 9000))
    assert turns.handle(UtteranceEnded(2, 9500)) == [DropUtterance(2)]
    assert turns.handle(FinalText(1, "No!")) == [StopSpeaking(), LISTENING]


def test_words_that_are_understood_after_the_agent_has_resumed_still_take_the_floor() -> None:
    turns = turns_in(State.PAUSED)
    assert play(turns, SUSTAINED, ENDED, PauseExpired()) == [FinishUtterance(1), ResumeSpeaking()]
    assert turns.handle(FINAL) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), SAID, THINKING, StartReply()]


def test_a_backchannel_that_is_understood_after_the_agent_has_resumed_changes_nothing() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, PauseExpired())
    assert turns.handle(FinalText(1, "yes")) == [DismissSpeech()]
    assert turns.state is State.SPEAKING


def test_speech_over_the_agents_last_words_is_answered() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ReplyFinished(), ENDED)
    assert turns.handle(PlayoutFinished()) == [ResumeSpeaking(over=True), RecordAgent(), THINKING]
    assert turns.handle(FinalText(1, "yes")) == [RecordCaller("yes"), StartReply()]


@pytest.mark.parametrize("over_the_last_words", [[SUSTAINED, ENDED], [SUSTAINED, ENDED, PauseExpired()]])
def test_a_backchannel_over_the_agents_last_words_is_answered_after_its_turn(over_the_last_words: list[Input]) -> None:
    turns = turns_in(State.PAUSED)
    play(turns, ReplyFinished(), *over_the_last_words, FinalText(1, "yes"))
    assert turns.state is State.SPEAKING
    assert turns.handle(PlayoutFinished()) == [RecordAgent(), RecordCaller("yes"), THINKING, StartReply()]


def test_a_backchannel_in_the_middle_of_the_agents_turn_is_not_answered_after_it() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, FinalText(1, "uh-huh"), ReplyFinished())
    assert turns.handle(PlayoutFinished()) == [RecordAgent(), LISTENING]


def test_an_early_yes_and_the_words_after_it_are_answered_together() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, ReplyFinished(), SUSTAINED, ENDED, FinalText(1, "yes"), UtteranceStarted(2, 9000), SUSTAINED)
    assert turns.handle(InterimText(2, "for Friday")) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), RecordCaller("yes")]
    turns = turns_in(State.PAUSED)
    play(turns, ReplyFinished(), SUSTAINED, ENDED, FinalText(1, "yes"), UtteranceStarted(2, 9000), SUSTAINED)
    assert turns.handle(PlayoutFinished()) == [ResumeSpeaking(over=True), RecordAgent(), RecordCaller("yes"), LISTENING]
    assert play(turns, UtteranceEnded(2, 12_000), FinalText(2, "for Friday"))[-2:] == [
        RecordCaller("for Friday"),
        StartReply(),
    ]


def test_after_the_stop_button_an_early_yes_is_not_answered() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, ReplyFinished(), SUSTAINED, ENDED, FinalText(1, "yes"), StopPressed())
    assert turns.handle(PlayoutFlushed()) == [RecordAgent()]


def test_an_agent_that_finishes_playout_while_paused_has_finished_its_turn() -> None:
    turns = turns_in(State.PAUSED)
    assert play(turns, ReplyFinished(), PlayoutFinished()) == [ResumeSpeaking(over=True), RecordAgent(), LISTENING]
    assert play(turns, ENDED) == [FinishUtterance(1), THINKING]


def test_with_barge_in_words_only_that_many_words_take_the_floor() -> None:
    turns = turns_in(State.SPEAKING, agent_with(barge_in_words=3))
    assert play(turns, BEGAN, SUSTAINED, INTERIM, PROLONGED) == [PauseSpeaking()]
    assert turns.handle(PauseExpired()) == [ResumeSpeaking()]
    assert turns.handle(InterimText(1, "what time is")) == [StopSpeaking(), LISTENING]


def test_a_long_sentence_is_answered_even_if_it_is_understood_only_after_the_agent_has_resumed() -> None:
    turns = turns_in(State.SPEAKING, agent_with(barge_in_words=2))
    play(turns, BEGAN, SUSTAINED, PROLONGED, PauseExpired())
    assert turns.handle(ENDED) == [FinishUtterance(1)]
    assert turns.handle(FINAL) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), SAID, THINKING, StartReply()]


def test_without_backchannels_sustained_speech_takes_the_floor() -> None:
    turns = turns_in(State.SPEAKING, agent_with(backchannels=()))
    assert play(turns, BEGAN, SUSTAINED) == [PauseSpeaking(), StopSpeaking(), LISTENING]
    turns = turns_in(State.SPEAKING, agent_with(backchannels=()))
    play(turns, PlayoutBegan(2900), BEGAN)
    assert turns.handle(SUSTAINED) == [StopSpeaking(), LISTENING]


def test_a_backchannel_while_the_agent_thinks_changes_nothing() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED) == [FinishUtterance(1)]
    assert turns.handle(FinalText(1, "uh-huh")) == [DismissSpeech()]
    assert turns.handle(SpeechBegan()) == [SPEAKING]


def test_words_while_the_agent_thinks_cancel_its_reply() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, INTERIM) == [CancelReply(), LISTENING]
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, INTERIM, SUSTAINED) == [CancelReply(), LISTENING]
    turns = turns_in(State.THINKING)
    play(turns, BEGAN, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "in Rome")) == [CancelReply(), RecordCaller("in Rome"), StartReply()]


def test_words_while_the_agent_thinks_are_answered_even_if_they_are_understood_after_their_end() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED, INTERIM) == [FinishUtterance(1), CancelReply()]
    assert turns.handle(FINAL) == [SAID, StartReply()]


@pytest.mark.parametrize("before", [State.THINKING, State.SPEAKING])
def test_a_caller_who_is_still_speaking_when_words_are_understood_is_answered_afterwards(before: State) -> None:
    turns = turns_in(before)
    play(turns, BEGAN, SUSTAINED, ENDED, UtteranceStarted(2, 9000), SUSTAINED, INTERIM)
    flushed = [PlayoutFlushed()] if before is State.SPEAKING else []
    play(turns, *flushed, FINAL)
    assert turns.state is State.LISTENING
    assert play(turns, UtteranceEnded(2, 12_000), FinalText(2, "in Rome"))[-2:] == [
        RecordCaller("in Rome"),
        StartReply(),
    ]


@pytest.mark.parametrize("resumed", [[], [PauseExpired()]])
def test_words_over_the_agent_are_answered_even_if_they_are_understood_after_their_end(resumed: list[Input]) -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, *resumed)
    assert turns.handle(INTERIM) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING]
    assert turns.handle(FINAL) == [SAID, StartReply()]


def test_words_over_the_agent_get_a_reply_even_if_their_final_text_is_empty() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, INTERIM, FinalText(1, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING, StartReply()]


def test_two_short_utterances_over_the_agent_are_both_recorded_and_answered() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, UtteranceStarted(2, 9000), SUSTAINED, UtteranceEnded(2, 12_000))
    assert turns.handle(FinalText(1, "No!")) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), RecordCaller("No!"), THINKING]
    assert turns.handle(FinalText(2, "Friday")) == [RecordCaller("Friday"), StartReply()]


def test_text_typed_over_the_agent_is_answered_together_with_the_speech_before_it() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, TYPED)
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), TYPED_WORDS, THINKING]
    assert turns.handle(FINAL) == [SAID, StartReply()]


def test_after_the_stop_button_earlier_speech_is_recorded_but_not_answered() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, StopPressed(), PlayoutFlushed())
    assert turns.handle(FINAL) == [SAID]
    assert turns.state is State.LISTENING


def test_a_second_utterance_over_the_agents_last_words_is_not_lost() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, UtteranceStarted(2, 9000), SUSTAINED, ReplyFinished(), PlayoutFinished())
    assert play(turns, UtteranceEnded(2, 12_000), FINAL, FinalText(2, "in Rome")) == [
        FinishUtterance(2),
        THINKING,
        SAID,
        RecordCaller("in Rome"),
        StartReply(),
    ]


def test_the_agent_does_not_begin_to_speak_while_speech_is_undecided() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED, SpeechBegan()) == [FinishUtterance(1), SPEAKING, PauseSpeaking()]
    assert turns.handle(FinalText(1, "okay")) == [DismissSpeech(), ResumeSpeaking()]


def test_speech_is_answered_if_the_reply_before_it_had_no_audio() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED, ReplyFinished()) == [FinishUtterance(1)]
    assert turns.handle(FinalText(1, "yes")) == [RecordCaller("yes"), StartReply()]


def test_the_agent_does_not_begin_to_speak_while_the_caller_makes_a_sound() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SpeechBegan()) == [SPEAKING, PauseSpeaking()]
    assert turns.handle(ENDED) == [DropUtterance(1), DismissSpeech(), ResumeSpeaking()]


def test_text_typed_over_the_agent_is_answered_when_playout_is_flushed() -> None:
    turns = turns_in(State.SPEAKING)
    play(turns, TYPED, TextTyped("are you there"))
    assert turns.handle(PlayoutFlushed()) == [
        RecordAgent(),
        TYPED_WORDS,
        RecordCaller("are you there"),
        THINKING,
        StartReply(),
    ]


def test_speech_that_ends_before_playout_is_flushed_is_answered_after_it() -> None:
    turns = turns_in(State.INTERRUPTED)
    assert turns.handle(UtteranceEnded(2, 9000)) == [FinishUtterance(2)]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING]
    assert turns.handle(FinalText(2, "stop")) == [RecordCaller("stop"), StartReply()]


def test_final_text_before_playout_is_flushed_is_recorded_after_the_agents_turn() -> None:
    turns = turns_in(State.INTERRUPTED)
    play(turns, UtteranceEnded(2, 9000), FinalText(2, "stop"))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), RecordCaller("stop"), THINKING, StartReply()]


def test_an_empty_text_of_an_earlier_utterance_is_not_held() -> None:
    turns = turns_in(State.INTERRUPTED)
    play(turns, UtteranceEnded(2, 9000), FinalText(1, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING]


def test_sustained_speech_to_an_interrupted_agent_gets_a_reply_even_without_words() -> None:
    turns = turns_in(State.INTERRUPTED)
    play(turns, UtteranceStarted(2, 8000), SUSTAINED, UtteranceEnded(2, 9000), FinalText(2, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING, StartReply()]


def test_a_short_noise_to_an_interrupted_agent_gets_no_reply() -> None:
    turns = turns_in(State.INTERRUPTED)
    play(turns, UtteranceStarted(2, 8000), UtteranceEnded(2, 9000), FinalText(2, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent()]


def test_a_cough_after_an_interruption_does_not_cancel_the_reply_to_it() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, INTERIM, UtteranceStarted(2, 9000), UtteranceEnded(2, 9500))
    play(turns, FinalText(1, ""), FinalText(2, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING, StartReply()]


def test_a_noise_that_cancelled_a_reply_leads_to_another_one_even_if_the_recogniser_fails() -> None:
    turns = turns_in(State.THINKING, AGENT.model_copy(update={"apology": ""}))
    assert play(turns, BEGAN, SUSTAINED, PROLONGED, ENDED)[0] == CancelReply()
    assert turns.handle(FinalText(1, "", failed=True)) == [StartReply()]


def test_late_words_from_before_the_stop_button_do_not_cancel_a_later_reply() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, SUSTAINED, ENDED, StopPressed())
    assert turns.handle(TYPED)[-1] == StartReply()
    assert turns.handle(InterimText(1, "what time")) == []
    assert turns.handle(FinalText(1, "")) == []
    assert turns.state is State.THINKING


def test_an_interruption_without_words_gets_a_reply_even_if_a_cough_follows() -> None:
    turns = turns_in(State.SPEAKING, agent_with(backchannels=()))
    assert play(turns, BEGAN, SUSTAINED, ENDED)[-1] == FinishUtterance(1)
    play(turns, FinalText(1, ""), UtteranceStarted(2, 9000), UtteranceEnded(2, 9500), PlayoutFlushed())
    assert turns.handle(FinalText(2, ""))[-1] == StartReply()


def test_at_the_start_of_its_turn_only_sustained_speech_pauses_the_agent() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(2000), BEGAN, ENDED) == [DropUtterance(1), DismissSpeech()]
    assert play(turns, UtteranceStarted(2, 2000 + 4799), SUSTAINED) == [PauseSpeaking()]
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(2000), UtteranceStarted(1, 2000 + 4800)) == [PauseSpeaking()]


def test_a_sound_before_the_agent_is_audible_is_not_its_echo() -> None:
    turns = turns_in(State.SPEAKING)
    assert turns.handle(BEGAN) == [PauseSpeaking()]
    turns = turns_in(State.SPEAKING)
    assert play(turns, PlayoutBegan(3500), BEGAN) == [PauseSpeaking()]
