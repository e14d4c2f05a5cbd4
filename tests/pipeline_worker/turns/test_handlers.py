import pytest

from pipeline_worker.turns.events import (
    CallerIdle,
    CancelReply,
    DiscardReply,
    DismissSpeech,
    DropUtterance,
    EndLikely,
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
    UtteranceEnded,
    UtteranceStarted,
)
from pipeline_worker.turns.state import State
from tests.pipeline_worker.turns.floor_scenes import (
    AGENT,
    BEGAN,
    ENDED,
    FINAL,
    INTERIM,
    LIKELY,
    LISTENING,
    OVER,
    PROLONGED,
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


def test_a_turn_of_each() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, ReplyFinished(), PlayoutFinished()) == [RecordAgent(), LISTENING]
    assert turns.state is State.LISTENING


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
    assert play(turns, BEGAN, ENDED) == [PauseSpeaking(), DropUtterance(1), DismissSpeech(), ResumeSpeaking()]


def test_a_backchannel_is_heard_out_and_the_agent_goes_on() -> None:
    turns = turns_in(State.SPEAKING)
    assert play(turns, BEGAN, SUSTAINED, InterimText(1, "uh"), ENDED) == [PauseSpeaking(), FinishUtterance(1)]
    assert turns.handle(FinalText(1, "Uh-huh.")) == [DismissSpeech(), ResumeSpeaking()]
    assert turns.state is State.SPEAKING


@pytest.mark.parametrize("failed", [False, True])
def test_a_noise_that_is_no_words_is_not_answered(failed: bool) -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "", failed)) == [DismissSpeech(), ResumeSpeaking()]


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
    assert turns.handle(FinalText(2, "yeah")) == [DismissSpeech(), ResumeSpeaking()]


def test_a_cough_while_a_word_before_it_is_weighed_does_not_make_the_agent_go_on() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, UtteranceStarted(2, 9000))
    assert turns.handle(UtteranceEnded(2, 9500)) == [DropUtterance(2)]
    assert turns.handle(FinalText(1, "No!")) == [StopSpeaking(), LISTENING]


def test_when_nobody_can_tell_in_time_the_agent_goes_on_and_late_words_still_count() -> None:
    turns = turns_in(State.PAUSED)
    assert play(turns, SUSTAINED, ENDED, PauseExpired()) == [FinishUtterance(1), ResumeSpeaking()]
    assert turns.handle(FINAL) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), SAID, THINKING, StartReply()]


def test_a_late_backchannel_changes_nothing() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, PauseExpired())
    assert turns.handle(FinalText(1, "yes")) == [DismissSpeech()]
    assert turns.state is State.SPEAKING


def test_what_is_said_over_the_agents_last_words_is_an_answer() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ReplyFinished(), ENDED)
    assert turns.handle(PlayoutFinished()) == [ResumeSpeaking(over=True), RecordAgent(), THINKING]
    assert turns.handle(FinalText(1, "yes")) == [RecordCaller("yes"), StartReply()]


@pytest.mark.parametrize("over_the_last_words", [[SUSTAINED, ENDED], [SUSTAINED, ENDED, PauseExpired()]])
def test_an_early_yes_to_the_agents_question_is_answered(over_the_last_words: list[Input]) -> None:
    turns = turns_in(State.PAUSED)
    play(turns, ReplyFinished(), *over_the_last_words, FinalText(1, "yes"))
    assert turns.state is State.SPEAKING
    assert turns.handle(PlayoutFinished()) == [RecordAgent(), RecordCaller("yes"), THINKING, StartReply()]


def test_a_backchannel_in_the_middle_of_the_agents_speech_is_not_answered_at_its_end() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, FinalText(1, "uh-huh"), ReplyFinished())
    assert turns.handle(PlayoutFinished()) == [RecordAgent(), LISTENING]


def test_an_early_yes_and_what_follows_it_are_answered_together() -> None:
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


def test_an_agent_that_was_just_finishing_when_it_paused_has_finished() -> None:
    turns = turns_in(State.PAUSED)
    assert play(turns, ReplyFinished(), PlayoutFinished()) == [ResumeSpeaking(over=True), RecordAgent(), LISTENING]
    assert play(turns, ENDED) == [FinishUtterance(1), THINKING]


def test_an_agent_may_want_several_words_before_it_gives_way() -> None:
    turns = turns_in(State.SPEAKING, agent_with(barge_in_words=3))
    assert play(turns, BEGAN, SUSTAINED, INTERIM, PROLONGED) == [PauseSpeaking()]
    assert turns.handle(PauseExpired()) == [ResumeSpeaking()]
    assert turns.handle(InterimText(1, "what time is")) == [StopSpeaking(), LISTENING]


def test_a_long_sentence_that_is_not_understood_before_its_end_is_answered_though_the_agent_has_gone_on() -> None:
    turns = turns_in(State.SPEAKING, agent_with(barge_in_words=2))
    play(turns, BEGAN, SUSTAINED, PROLONGED, PauseExpired())
    assert turns.handle(ENDED) == [FinishUtterance(1)]
    assert turns.handle(FINAL) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), SAID, THINKING, StartReply()]


def test_without_backchannels_speech_alone_takes_the_floor() -> None:
    turns = turns_in(State.SPEAKING, agent_with(backchannels=()))
    assert play(turns, BEGAN, SUSTAINED) == [PauseSpeaking(), StopSpeaking(), LISTENING]
    turns = turns_in(State.SPEAKING, agent_with(backchannels=()))
    play(turns, PlayoutBegan(2900), BEGAN)
    assert turns.handle(SUSTAINED) == [StopSpeaking(), LISTENING]


def test_a_noise_while_the_agent_thinks_changes_nothing() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED) == [FinishUtterance(1)]
    assert turns.handle(FinalText(1, "uh-huh")) == [DismissSpeech()]
    assert turns.handle(SpeechBegan()) == [SPEAKING]


def test_words_while_the_agent_thinks_make_it_think_again() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, INTERIM) == [CancelReply(), LISTENING]
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, INTERIM, SUSTAINED) == [CancelReply(), LISTENING]
    turns = turns_in(State.THINKING)
    play(turns, BEGAN, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "in Rome")) == [CancelReply(), RecordCaller("in Rome"), StartReply()]


def test_words_to_an_agent_that_thinks_are_answered_though_they_are_understood_after_their_end() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED, INTERIM) == [FinishUtterance(1), CancelReply()]
    assert turns.handle(FINAL) == [SAID, StartReply()]


@pytest.mark.parametrize("before", [State.THINKING, State.SPEAKING])
def test_whoever_goes_on_when_their_first_words_are_understood_is_answered_when_all_is_said(before: State) -> None:
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
def test_words_over_the_agent_are_answered_though_they_are_understood_after_their_end(resumed: list[Input]) -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, *resumed)
    assert turns.handle(INTERIM) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING]
    assert turns.handle(FINAL) == [SAID, StartReply()]


def test_words_over_the_agent_whose_final_text_is_empty_are_asked_for_again() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, INTERIM, FinalText(1, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING, StartReply()]


def test_two_short_utterances_over_the_agent_are_both_in_the_conversation_that_is_answered() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, UtteranceStarted(2, 9000), SUSTAINED, UtteranceEnded(2, 12_000))
    assert turns.handle(FinalText(1, "No!")) == [StopSpeaking(), LISTENING]
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), RecordCaller("No!"), THINKING]
    assert turns.handle(FinalText(2, "Friday")) == [RecordCaller("Friday"), StartReply()]


def test_text_typed_over_the_agent_is_answered_together_with_what_was_just_said() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, TYPED)
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), TYPED_WORDS, THINKING]
    assert turns.handle(FINAL) == [SAID, StartReply()]


def test_the_stop_button_asks_for_silence_whatever_was_said_before_it() -> None:
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


def test_an_agent_does_not_begin_before_it_is_known_what_the_caller_said() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED, SpeechBegan()) == [FinishUtterance(1), SPEAKING, PauseSpeaking()]
    assert turns.handle(FinalText(1, "okay")) == [DismissSpeech(), ResumeSpeaking()]


def test_what_is_said_while_the_agent_thinks_of_nothing_is_answered() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SUSTAINED, ENDED, ReplyFinished()) == [FinishUtterance(1)]
    assert turns.handle(FinalText(1, "yes")) == [RecordCaller("yes"), StartReply()]


def test_an_agent_does_not_begin_while_the_caller_makes_a_sound() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, BEGAN, SpeechBegan()) == [SPEAKING, PauseSpeaking()]
    assert turns.handle(ENDED) == [DropUtterance(1), DismissSpeech(), ResumeSpeaking()]


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
    play(turns, BEGAN, SUSTAINED, EndLikely(1, "..."), ENDED)
    assert turns.handle(FinalText(1, "")) == [DiscardReply(), StartReply()]


@pytest.mark.parametrize("goes_on", [[RESUMED], [ENDED, SUSTAINED], [ENDED, StopPressed()], [ENDED, TYPED]])
def test_whatever_changes_the_conversation_discards_the_prepared_reply(goes_on: list[Input]) -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, LIKELY)
    assert DiscardReply() in play(turns, *goes_on)


def test_time_that_is_over_discards_the_prepared_reply_before_the_end() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, LIKELY, TimeExceeded())[1:] == [DiscardReply(), OVER]


def test_a_prompt_discards_the_prepared_reply() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, LIKELY, CallerIdle())[1:] == [DiscardReply(), SPEAKING, PROMPT]


def test_an_agent_that_does_not_speculate_prepares_nothing() -> None:
    assert turns_in(State.LISTENING, agent_with(speculative=False)).handle(LIKELY) == []


# Texts


def test_text_that_is_typed_while_the_caller_speaks_is_answered_together_with_what_they_say() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, TYPED, ENDED, FINAL) == [TYPED_WORDS, FinishUtterance(1), THINKING, SAID, StartReply()]


def test_a_recogniser_that_fails_is_apologised_for() -> None:
    turns = turns_in(State.TRANSCRIBING)
    assert turns.handle(FinalText(1, "", failed=True)) == [SPEAKING, Say(AGENT.apology)]


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
    play(turns, UtteranceStarted(2, 8000), SUSTAINED, UtteranceEnded(2, 9000), FinalText(2, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING, StartReply()]


def test_speech_that_is_not_understood_is_answered_but_not_recorded() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, SUSTAINED, ENDED)
    assert turns.handle(FinalText(1, "")) == [StartReply()]


def test_a_cough_while_the_agent_listens_is_not_answered() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, ENDED, FinalText(1, "")) == [
        FinishUtterance(1),
        THINKING,
        DismissSpeech(),
        LISTENING,
    ]
    assert turns.state is State.LISTENING


def test_a_door_that_an_interrupted_agent_hears_is_not_answered() -> None:
    turns = turns_in(State.INTERRUPTED)
    play(turns, UtteranceStarted(2, 8000), UtteranceEnded(2, 9000), FinalText(2, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent()]


def test_a_cough_after_words_that_stopped_the_agent_does_not_leave_them_without_an_answer() -> None:
    turns = turns_in(State.PAUSED)
    play(turns, SUSTAINED, ENDED, INTERIM, UtteranceStarted(2, 9000), UtteranceEnded(2, 9500))
    play(turns, FinalText(1, ""), FinalText(2, ""))
    assert turns.handle(PlayoutFlushed()) == [RecordAgent(), THINKING, StartReply()]


def test_a_noise_that_made_the_agent_forget_its_answer_brings_it_back_though_the_recogniser_fails() -> None:
    turns = turns_in(State.THINKING, AGENT.model_copy(update={"apology": ""}))
    assert play(turns, BEGAN, SUSTAINED, PROLONGED, ENDED)[0] == CancelReply()
    assert turns.handle(FinalText(1, "", failed=True)) == [StartReply()]


def test_a_word_as_short_as_a_cough_is_answered() -> None:
    turns = turns_in(State.LISTENING)
    assert play(turns, BEGAN, ENDED, FinalText(1, "no"))[-2:] == [RecordCaller("no"), StartReply()]


@pytest.mark.parametrize("failed", [False, True])
def test_a_cough_does_not_leave_unanswered_what_was_typed_during_it(failed: bool) -> None:
    turns = turns_in(State.LISTENING, AGENT.model_copy(update={"apology": ""}))
    play(turns, BEGAN, TYPED, ENDED)
    assert turns.handle(FinalText(1, "", failed)) == [StartReply()]


def test_a_cough_after_an_answer_that_was_stopped_does_not_bring_it_back() -> None:
    turns = turns_in(State.THINKING)
    assert play(turns, StopPressed(), BEGAN, ENDED, FinalText(1, ""))[-1] == LISTENING
    assert turns.state is State.LISTENING


def test_a_cough_while_what_was_said_before_it_is_awaited_loses_nothing() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, SUSTAINED, ENDED, UtteranceStarted(2, 9000), UtteranceEnded(2, 9500))
    assert turns.handle(FinalText(1, "")) == [StartReply()]


def test_a_caller_who_goes_on_after_a_pause_is_answered_once_with_all_words_recorded() -> None:
    turns = turns_in(State.TRANSCRIBING)
    assert play(turns, SUSTAINED, FINAL, UtteranceEnded(2, 9000)) == [LISTENING, SAID, FinishUtterance(2), THINKING]
    assert play(turns, FinalText(2, "in Rome")) == [RecordCaller("in Rome"), StartReply()]


def test_a_late_text_does_not_start_the_reply_that_waits_for_another() -> None:
    turns = turns_in(State.TRANSCRIBING)
    play(turns, SUSTAINED, UtteranceEnded(2, 9000))
    assert turns.handle(FINAL) == [SAID]
    assert turns.state is State.TRANSCRIBING


def test_late_words_of_what_the_stop_button_ended_do_not_forget_the_reply_to_what_was_typed() -> None:
    turns = turns_in(State.LISTENING)
    play(turns, BEGAN, SUSTAINED, ENDED, StopPressed())
    assert turns.handle(TYPED)[-1] == StartReply()
    assert turns.handle(InterimText(1, "what time")) == []
    assert turns.handle(FinalText(1, "")) == []
    assert turns.state is State.THINKING


def test_an_interruption_that_nobody_understood_is_asked_for_again_though_a_cough_follows() -> None:
    turns = turns_in(State.SPEAKING, agent_with(backchannels=()))
    assert play(turns, BEGAN, SUSTAINED, ENDED)[-1] == FinishUtterance(1)
    play(turns, FinalText(1, ""), UtteranceStarted(2, 9000), UtteranceEnded(2, 9500), PlayoutFlushed())
    assert turns.handle(FinalText(2, ""))[-1] == StartReply()
