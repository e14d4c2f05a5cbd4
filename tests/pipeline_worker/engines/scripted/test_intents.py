from collections.abc import Sequence

import numpy as np
import pytest

from pipeline_worker.engines.scripted.intents import IntentMatcher, plain, words
from pipeline_worker.engines.scripted.sentence_vectors import Vectors

EXAMPLES = {"open": ["when are you open", "opening hours"], "book": ["book a table"], None: ["what is the weather"]}


def no_meaning(sentences: Sequence[str]) -> Vectors:
    """Every sentence has a meaning of its own, so that only words count."""
    places = [sum(ord(letter) * (at + 1) for at, letter in enumerate(sentence)) % 512 for sentence in sentences]
    return np.eye(512, dtype=np.float32)[places]


@pytest.fixture
def matcher() -> IntentMatcher:
    return IntentMatcher(EXAMPLES, no_meaning)


def nearest(matcher: IntentMatcher, text: str) -> str | None:
    scores = matcher.parts(text)[0].scores
    return max(scores, key=lambda name: scores[name])


@pytest.mark.parametrize(
    ("text", "name"), [("WHEN are you open?", "open"), ("please book the table", "book"), ("how is the weather", None)]
)
def test_a_sentence_resembles_the_examples_that_it_shares_words_with(
    matcher: IntentMatcher, text: str, name: str | None
) -> None:
    assert nearest(matcher, text) == name


def test_an_example_itself_resembles_itself_entirely(matcher: IntentMatcher) -> None:
    (part,) = matcher.parts("book a table")
    assert part.scores["book"] == pytest.approx(0.9, abs=0.01), "a second example would confirm it"
    assert part.scores["open"] < 0.2


def test_a_long_sentence_is_matched_by_its_best_part(matcher: IntentMatcher) -> None:
    parts = matcher.parts("I walked past today, and it looks nice. When are you open?")
    scores = {part.text: part.scores["open"] for part in parts}
    assert max(scores, key=lambda text: scores[text]) == "When are you open"
    assert len(parts) > 2


@pytest.mark.parametrize("text", ["", " ", "?!"])
def test_without_words_there_is_no_part(matcher: IntentMatcher, text: str) -> None:
    assert matcher.parts(text) == []


def test_fillers_capitals_and_marks_do_not_count() -> None:
    assert plain("Um, well, WHEN are you open?!") == plain("when are you open")


def test_endings_do_not_count() -> None:
    assert words("booking tickets") == words("book ticket")


def test_a_sentence_of_a_hundred_clauses_is_looked_at_in_a_few_parts(matcher: IntentMatcher) -> None:
    assert len(matcher.parts(", ".join(f"soup {number}" for number in range(100)))) == 8
