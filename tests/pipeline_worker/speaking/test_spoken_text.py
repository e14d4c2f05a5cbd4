import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_worker.engines.protocols import Word
from pipeline_worker.speaking.spoken_text import Heard, SpokenText
from pipeline_worker.text.normalization import normalize

RATE = 16_000


def spoken(text: str, word_samples: int = 1000, timed: bool = True, whole: bool = True, first: int = 0) -> SpokenText:
    """Every word lasts `word_samples`."""
    turn = SpokenText(RATE, "en")
    sentence = turn.begin(text, first)
    for index, word in enumerate(text.split()):
        sentence.add(word_samples, (Word(word.strip(".,").lower(), (index + 1) * word_samples),) if timed else ())
    if whole:
        sentence.finish()
    return turn


@pytest.mark.parametrize(
    ("played_up_to", "heard"),
    [
        (0, Heard("", False)),
        (5000, Heard("", False)),
        (5999, Heard("", False)),
        (6000, Heard("Well,", False)),
        (7500, Heard("Well, we", False)),
        (9200, Heard("Well, we open at ten.", True)),
        (99_000, Heard("Well, we open at ten.", True)),
    ],
)
def test_a_word_is_heard_when_it_has_ended(played_up_to: int, heard: Heard) -> None:
    assert spoken("Well, we open at ten.", word_samples=800, first=5200).heard(played_up_to) == heard


def test_without_word_times_words_take_time_by_their_length() -> None:
    turn = spoken("a abcdefgh a", timed=False)
    assert turn.heard(300) == Heard("a", False)
    assert turn.heard(2000) == Heard("a", False)
    assert turn.heard(2800) == Heard("a abcdefgh", False)


def test_a_sentence_that_is_still_synthesised_is_not_complete_when_all_there_is_was_heard() -> None:
    assert spoken("We open.", whole=False).heard(2000) == Heard("We open.", False)


def test_what_is_synthesised_without_word_times_is_not_taken_for_the_whole_sentence() -> None:
    turn = SpokenText(RATE, "en")
    turn.begin("twelve letter words", 0).add(RATE, ())
    assert turn.heard(RATE) == Heard("twelve", False)


@pytest.mark.parametrize("whole", [True, False])
def test_the_texts_own_words_are_shown_whatever_the_engine_calls_them(whole: bool) -> None:
    turn = SpokenText(RATE, "en")
    sentence = turn.begin("At 5 o'clock.", 0)
    sentence.add(4000, (Word("at", 1000), Word("five", 2000), Word("o'clock", 4000)))
    if whole:
        sentence.finish()
    assert turn.heard(1500) == Heard("At", False)
    assert turn.heard(2500) == Heard("At 5", False)
    assert turn.heard(4000) == Heard("At 5 o'clock.", whole)


def spoken_words(text: str) -> list[str]:
    return [word for pair in normalize(text) for word in pair.spoken.split()]


def in_english(text: str, timed: bool = True, whole: bool = True) -> SpokenText:
    """Every word that the voice says lasts 1000 samples."""
    turn = SpokenText(RATE, "en")
    sentence = turn.begin(text, 0)
    for index, word in enumerate(sentence.spoken.split()):
        sentence.add(1000, (Word(word, (index + 1) * 1000),) if timed else ())
    if whole:
        sentence.finish()
    return turn


def test_what_is_spoken_as_several_words_is_heard_with_the_last_of_them() -> None:
    turn = in_english("**That** costs $12.50 😀 in all.", whole=False)
    heard = [turn.heard(played).text for played in range(0, 10_000, 1000)]
    assert heard[:3] == ["", "**That**", "**That** costs"]
    assert heard[3:7] == ["**That** costs"] * 4
    assert heard[7:] == [
        "**That** costs $12.50 😀",
        "**That** costs $12.50 😀 in",
        "**That** costs $12.50 😀 in all.",
    ]


def test_without_word_times_too_it_is_the_texts_own_words() -> None:
    turn = in_english("Pay $5 now.", timed=False)
    assert [turn.heard(played).text for played in (0, 900, 1200, 2000, 3500)] == ["", "Pay", "Pay", "Pay", "Pay $5"]
    assert turn.heard(4000) == Heard("Pay $5 now.", True)


def test_what_cannot_be_said_was_not_heard() -> None:
    turn = SpokenText(RATE, "en")
    assert turn.begin("😀", 0).spoken == ""
    assert turn.heard(0) == Heard("", False)


MIXED = [
    "$5",
    "hello",
    "3.5",
    "**yes**",
    "the",
    "😀",
    "e.g.",
    "10:00",
    "km",
    "[our",
    "menu](http://x.com)",
    "+1 555 123 4567",
]


@given(st.lists(st.sampled_from(MIXED), min_size=1, max_size=12), st.booleans(), st.booleans())
@example(["hello", "😀", "hello", "hello"], True, True)
def test_what_is_heard_grows_word_by_word_and_nothing_is_heard_before_it_is_said(
    tokens: list[str], timed: bool, whole: bool
) -> None:
    text = " ".join(tokens)
    turn = in_english(text, timed, whole)
    said = len(spoken_words(text))
    heard = [turn.heard(played).text for played in range(0, said * 1000 + 1, 500)]
    assert all(text.startswith(words) for words in heard)
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(heard))
    assert heard[0] == ""
    if timed:
        assert all(len(spoken_words(words)) <= played // 2 for played, words in enumerate(heard))
        assert heard[-1] == (text if said else "")


def test_a_sentence_without_sound_was_not_heard() -> None:
    turn = SpokenText(RATE, "en")
    turn.begin("Hm.", 0).finish()
    assert turn.heard(1000) == Heard("", True)


def test_a_turn_is_its_sentences_one_after_the_other() -> None:
    turn = spoken("We open at ten.")
    second = turn.begin("Anything else?", 4000)
    second.add(2000, (Word("Anything", 1000), Word("else", 2000)))
    second.finish()
    assert turn.heard(5000) == Heard("We open at ten. Anything", False)
    assert turn.heard(6000) == Heard("We open at ten. Anything else?", True)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=20).map(sorted))
def test_hearing_more_never_takes_a_word_back(positions: list[int]) -> None:
    for turn in (spoken("We open at ten."), spoken("We open at ten.", timed=False), spoken("We open", whole=False)):
        heard = [turn.heard(position).text for position in positions]
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(heard))
