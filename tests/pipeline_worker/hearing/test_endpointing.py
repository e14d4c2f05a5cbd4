from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.hearing.endpointing import Endpointing, SpeakerPauses
from pipeline_worker.hearing.talkspurts import TalkspurtEnded, TalkspurtStarted
from pipeline_worker.turns.events import EndLikely, SpeechSustained, UtteranceEnded, UtteranceResumed, UtteranceStarted
from shared.agent import TurnTaking
from shared.audio import UPLINK_RATE

LEAST, MOST = 8_000, 24_000


def endpointing(language: str = "en", **taking: Any) -> Endpointing:
    return Endpointing(TurnTaking(endpointing_ms=500, max_endpointing_ms=1500).model_copy(update=taking), language)


def said(text: str, **taking: Any) -> Endpointing:
    """After an utterance whose last sound ended at 100,000."""
    ending = endpointing(**taking)
    ending.handle(TalkspurtStarted(1_000))
    ending.understood(1, text)
    ending.handle(TalkspurtEnded(100_000))
    return ending


def test_an_utterance_is_over_after_the_silence() -> None:
    ending = endpointing()
    assert ending.handle(TalkspurtStarted(1_000)) == [UtteranceStarted(1, 1_000)]
    assert ending.handle(SpeechSustained(4_000)) == []
    assert ending.open
    assert ending.advance(90_000) == []
    assert ending.handle(TalkspurtEnded(100_000)) == []
    assert ending.last_sound == 100_000
    assert ending.advance(100_000 + LEAST - 1) == []
    assert ending.advance(100_000 + LEAST) == [UtteranceEnded(1, 100_000 + LEAST)]
    assert not ending.open


def test_a_pause_within_an_utterance_does_not_end_it() -> None:
    ending = endpointing(adaptive=False)
    ending.handle(TalkspurtStarted(0))
    ending.handle(TalkspurtEnded(10_000))
    assert ending.handle(TalkspurtStarted(17_000)) == []
    assert ending.advance(30_000) == []
    ending.handle(TalkspurtEnded(40_000))
    assert ending.advance(48_000) == [UtteranceEnded(1, 48_000)]


def test_it_ends_once_and_the_next_one_has_the_next_number() -> None:
    ending = said("")
    assert len(ending.advance(190_000)) == 1
    assert ending.advance(199_000) == []
    assert ending.handle(TalkspurtStarted(200_000)) == [UtteranceStarted(2, 200_000)]


def test_silence_before_any_speech_ends_nothing() -> None:
    ending = endpointing()
    assert ending.advance(1_000_000) == []
    assert ending.handle(TalkspurtEnded(1_000)) == []
    assert ending.advance(1_000_000) == []


def test_an_utterance_that_sounds_unfinished_is_given_the_longest_time() -> None:
    ending = said("I would like a table for")
    assert ending.advance(100_000 + MOST - 1) == []
    assert ending.advance(100_000 + MOST) == [UtteranceEnded(1, 100_000 + MOST)]


def test_a_german_sentence_is_not_waited_for_because_it_ends_in_an_english_word() -> None:
    ending = said("ich rufe sie morgen an", language="de")
    assert ending.advance(100_000 + LEAST) == [UtteranceEnded(1, 100_000 + LEAST)]


def test_words_that_come_late_change_the_time() -> None:
    ending = said("a table for")
    assert ending.advance(100_000 + LEAST) == []
    ending.understood(1, "A table for two.")
    assert ending.advance(100_000 + LEAST + 512) == [UtteranceEnded(1, 100_000 + LEAST)]


def test_words_of_an_utterance_that_is_over_are_not_those_of_the_next() -> None:
    ending = said("yes")
    ending.advance(190_000)
    ending.understood(1, "yes and")
    ending.handle(TalkspurtStarted(200_000))
    ending.understood(1, "yes and")
    ending.handle(TalkspurtEnded(210_000))
    assert ending.advance(210_000 + LEAST) == [UtteranceEnded(2, 210_000 + LEAST)]


def test_a_caller_who_pauses_long_is_given_more_time_but_not_after_a_finished_sentence() -> None:
    ending = said("we")
    ending.handle(TalkspurtStarted(107_000))
    ending.handle(TalkspurtEnded(120_000))
    assert ending.advance(120_000 + 10_499) == [EndLikely(1, "we")]
    ending.understood(1, "We are four.")
    assert ending.advance(120_000 + 10_499) == [UtteranceEnded(1, 120_000 + LEAST)]


def test_a_caller_who_continues_after_the_endpoint_had_only_paused() -> None:
    ending = said("")
    ending.advance(100_000 + LEAST)
    ending.handle(TalkspurtStarted(110_000))
    ending.handle(TalkspurtEnded(120_000))
    assert ending.advance(120_000 + 14_999) == []
    assert ending.advance(120_000 + 15_000) == [UtteranceEnded(2, 135_000)]


@pytest.mark.parametrize("answered", [True, False])
def test_silence_while_the_agent_speaks_and_long_silence_are_not_pauses(answered: bool) -> None:
    ending = said("")
    ending.advance(100_000 + LEAST)
    if answered:
        ending.answered()
    ending.handle(TalkspurtStarted(110_000 if answered else 200_000))
    ending.handle(TalkspurtEnded(210_000))
    assert ending.advance(210_000 + LEAST) == [UtteranceEnded(2, 210_000 + LEAST)]


def test_while_the_agent_speaks_every_talkspurt_is_an_utterance() -> None:
    assert said("wait and").advance(103_072, agent_speaks=True) == [UtteranceEnded(1, 100_000)]


def test_the_end_of_a_finished_sentence_is_likely_at_once_and_reported_once() -> None:
    ending = said("What time is it?")
    assert ending.advance(103_072) == [EndLikely(1, "What time is it?")]
    assert ending.advance(103_584) == []
    assert ending.advance(100_000 + LEAST) == [UtteranceEnded(1, 100_000 + LEAST)]


def test_the_end_of_words_without_marks_is_likely_after_a_part_of_the_silence() -> None:
    ending = said("what time is it")
    assert ending.advance(100_000 + 4_799) == []
    assert ending.advance(100_000 + 4_800) == [EndLikely(1, "what time is it")]
    ending.understood(1, "what time is it now")
    assert ending.advance(100_000 + 4_801) == [EndLikely(1, "what time is it now")]


@pytest.mark.parametrize("text", ["", "what time is it and"])
def test_the_end_is_not_likely_before_there_are_words(text: str) -> None:
    assert said(text).advance(100_000 + LEAST - 1) == []


def test_a_caller_who_continues_after_a_likely_end_is_noticed_once() -> None:
    ending = said("what time is it")
    ending.advance(105_000)
    assert ending.handle(TalkspurtStarted(105_500)) == [UtteranceResumed(1)]
    ending.handle(TalkspurtEnded(120_000))
    assert ending.handle(TalkspurtStarted(121_000)) == []


def test_an_utterance_has_a_longest_duration() -> None:
    ending = endpointing()
    ending.handle(TalkspurtStarted(1_000))
    assert ending.advance(60 * UPLINK_RATE) == []
    assert ending.advance(60 * UPLINK_RATE + 1_000) == [UtteranceEnded(1, 60 * UPLINK_RATE + 1_000)]


def test_the_longest_silence_is_never_less_than_the_shortest() -> None:
    ending = said("a table for", endpointing_ms=2000, max_endpointing_ms=1500)
    assert ending.advance(100_000 + 31_999) == []
    assert ending.advance(100_000 + 32_000) == [UtteranceEnded(1, 132_000)]


def test_a_caller_who_has_not_paused_gets_the_shortest_silence() -> None:
    assert SpeakerPauses().endpointing(8_000, 24_000) == 8_000


def test_the_silence_is_half_as_long_again_as_the_usual_pause() -> None:
    pauses = SpeakerPauses()
    pauses.add(10_000)
    assert pauses.endpointing(8_000, 24_000) == 15_000
    pauses.add(0)
    assert pauses.endpointing(8_000, 24_000) == 10_500


@given(st.lists(st.integers(0, 100_000)), st.integers(1, 1000), st.integers(1000, 2000))
def test_it_stays_between_its_bounds(samples: list[int], least: int, most: int) -> None:
    pauses = SpeakerPauses()
    for pause in samples:
        pauses.add(pause)
    assert least <= pauses.endpointing(least, most) <= most
