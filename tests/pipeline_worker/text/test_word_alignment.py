import time

import pytest

from pipeline_worker.text.word_alignment import estimated_ends, last_in_common, words_ended

OURS = ["We", "open", "at", "5", "o'clock."]


@pytest.mark.parametrize(
    ("named", "ended", "whole", "count"),
    [
        ("we open at", 2, False, 2),
        ("WE open, at 5 o'clock", 5, True, 5),
        ("we open at five", 4, False, 4),
        ("we open at five sharp o'clock", 4, True, 3),
        ("we open at five sharp o'clock", 5, True, 4),
        ("one two three four five six seven eight nine ten", 5, True, 2),
        ("", 0, False, 0),
    ],
)
def test_our_words_have_ended_with_the_words_that_the_voice_named_for_them(
    named: str, ended: int, whole: bool, count: int
) -> None:
    assert words_ended(OURS, named.split(), ended, whole) == count


@pytest.mark.parametrize(
    ("named", "last"), [("we open", (2, 2)), ("we open at five", (3, 3)), ("we will open", (2, 3)), ("he", (0, 0))]
)
def test_the_last_word_that_is_the_same_in_both_is_certain(named: str, last: tuple[int, int]) -> None:
    assert last_in_common(OURS, named.split()) == last


def test_estimated_words_take_time_by_their_length() -> None:
    assert estimated_ends(["a", "abcdefgh", "a"], 1200) == [100, 1000, 1200]
    assert estimated_ends([], 1200) == []


def test_a_voice_that_names_too_many_words_is_not_compared_with_the_text() -> None:
    ours, named = ["a"] * 2_000, ["a", "b"] * 1_000
    started = time.thread_time()
    assert words_ended(ours, named, 500, True) == 500
    assert words_ended(ours, [*named, *named], 4_000, True) == 2_000
    assert words_ended(ours, named, 500, False) == 500
    assert last_in_common(ours, named) == (0, 0)
    assert time.thread_time() - started < 0.2  # the comparison takes minutes
