import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_worker.hearing.completeness import Completeness, completeness


@pytest.mark.parametrize(
    "text",
    [
        "What time is it?",
        "Yes.",
        'She said "stop!"',
        "你好。",
        "Wirklich?",
        "Where are you from?",
        "I do!",
        "For two. ",
        "Where are you from.",
        "Hello! Where are you from?",
        "Is that the place you come from?",
        "And?",
        "That is all I need.",
        "That is what we would like.",
        "I want it.",
    ],
)
def test_a_final_mark_finishes_a_sentence_in_any_language(text: str) -> None:
    assert completeness(text, "en") is Completeness.FINISHED


@pytest.mark.parametrize(
    "text",
    [
        "I want to book a table and",
        "a table for",
        "I would like",
        "can I",
        "well, my",
        "on Friday, um",
        "I think...",
        "I would like to book a table for.",
        "I would like.",
        "Yes, I would like.",
        "Hello. I need.",
        "Can I?",
        "Can I bring my dog to the?",
        "What time does the?",
        "Let me think about it, and.",
        "On Friday, um.",
        "Where are you from? I am from.",
        "Ich möchte einen Tisch,",
        "because I'm",
        "My number is five five five.",
        "my phone number is 0 1",
        "five five five one two",
        "it is 5 5 5",
        "the zip code is 9021",
    ],
)
def test_a_sentence_that_stops_in_the_middle_is_unfinished(text: str) -> None:
    assert completeness(text, "en") is Completeness.UNFINISHED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "...",
        "what time is it",
        "where are you from",
        "yes I do",
        "two",
        "seven thirty",
        "for two people at 7:30",
        "a table for two",
        "it was in 2026",
        "my number is 555 123 4567",
        "five five five one two three four five six seven",
        "I think so",
    ],
)
def test_most_words_leave_it_open(text: str) -> None:
    assert completeness(text, "en") is Completeness.OPEN


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("ich rufe sie morgen an", "de"),
        ("hoe laat begint het er", "nl"),
        ("was hat er an", "de-CH"),
        ("c'est du vin, un pinot by", "fr"),
        ("number five", "fr"),
    ],
)
def test_english_words_mean_nothing_in_another_language(text: str, language: str) -> None:
    assert completeness(text, language) is Completeness.OPEN


@pytest.mark.parametrize("language", ["de", "en-GB", "EN_us", ""])
def test_marks_and_groups_of_digits_count_in_every_language(language: str) -> None:
    assert completeness("Ich möchte einen Tisch,", language) is Completeness.UNFINISHED
    assert completeness("0 1 7", language) is Completeness.UNFINISHED
    assert completeness("Wirklich?", language) is Completeness.FINISHED


@pytest.mark.parametrize("language", ["en-GB", "EN_us"])
def test_every_variety_of_english_counts(language: str) -> None:
    assert completeness("a table for", language) is Completeness.UNFINISHED


@given(st.text(), st.sampled_from(["en", "de"]))
def test_every_text_is_one_of_the_three(text: str, language: str) -> None:
    assert completeness(text, language) in Completeness


@pytest.mark.parametrize("text", ["Ich rufe Sie morgen an.", "Um.", "C'est du vin, un pinot by."])
def test_words_before_a_mark_mean_nothing_in_another_language(text: str) -> None:
    assert completeness(text, "de") is Completeness.FINISHED


def test_a_sentence_of_marks_alone_is_ignored() -> None:
    assert completeness("A table for. -.", "en") is Completeness.UNFINISHED
    assert completeness("Hello. -.", "en") is Completeness.FINISHED
