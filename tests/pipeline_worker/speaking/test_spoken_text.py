import itertools
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_worker.engines.protocols import Word
from pipeline_worker.speaking.spoken_text import Heard, SpokenText, recall
from pipeline_worker.turns.memory import TurnMemory

RATE = 16_000
WORD = 1000


def spoken(text: str, timed: bool = True, whole: bool = True, first: int = 0) -> SpokenText:
    """Each word that the voice says lasts 1000 samples."""
    turn = SpokenText(RATE, "en")
    sentence = turn.begin(text, first)
    for end, word in enumerate(sentence.spoken.split(), 1):
        sentence.add(WORD, (Word(word.strip(".,").lower(), end * WORD),) if timed else ())
    if whole:
        sentence.finish()
    return turn


@pytest.mark.parametrize(
    ("turn", "heard"),
    [
        (
            spoken("Well, we open at ten.", first=5200),
            {0: "", 6199: "", 6200: "Well,", 7900: "Well, we", 10_200: "Well, we open at ten."},
        ),
        (spoken("We open.", whole=False), {1000: "We", 2000: "We open."}),
        (spoken("a abcdefgh a", timed=False), {300: "a", 2000: "a", 2800: "a abcdefgh", 3000: "a abcdefgh a"}),
        (
            spoken("**That** costs $12.50 😀 in all.", whole=False),
            {
                1000: "**That**",
                6000: "**That** costs",
                7000: "**That** costs $12.50 😀",
                8000: "**That** costs $12.50 😀 in",
                9000: "**That** costs $12.50 😀 in all.",
            },
        ),
        (spoken("Pay $5 now.", timed=False), {0: "", 900: "Pay", 2000: "Pay", 3500: "Pay $5", 4000: "Pay $5 now."}),
    ],
    ids=["word by word", "still synthesised", "without word times", "several words for one", "of unknown length"],
)
def test_a_word_is_heard_when_all_that_is_said_for_it_has_ended(turn: SpokenText, heard: dict[int, str]) -> None:
    assert {played: turn.heard(played).text for played in heard} == heard


def test_a_sentence_is_complete_when_all_of_it_was_synthesised_and_heard() -> None:
    assert spoken("We open.").heard(99_000) == Heard("We open.", True)
    assert spoken("We open.").heard(1999) == Heard("We", False)
    assert spoken("We open.", whole=False).heard(2000) == Heard("We open.", False)


def test_speech_without_word_times_is_not_taken_for_the_whole_sentence_before_its_end() -> None:
    turn = SpokenText(RATE, "en")
    turn.begin("twelve letter words", 0).add(RATE, ())
    assert turn.heard(RATE) == Heard("twelve", False)


@pytest.mark.parametrize("whole", [True, False])
def test_the_words_shown_are_those_of_the_text_whatever_the_engine_calls_them(whole: bool) -> None:
    turn = SpokenText(RATE, "en")
    sentence = turn.begin("At 5 o'clock.", 0)
    sentence.add(4000, (Word("at", 1000), Word("five", 2000), Word("o'clock", 4000)))
    if whole:
        sentence.finish()
    assert [turn.heard(played).text for played in (1500, 2500)] == ["At", "At 5"]
    assert turn.heard(4000) == Heard("At 5 o'clock.", whole)


def test_unspeakable_text_is_not_heard() -> None:
    turn = SpokenText(RATE, "en")
    emoji = turn.begin("😀", 0)
    assert emoji.spoken == ""
    assert turn.heard(0) == Heard("", False)
    emoji.finish()
    turn.begin("Hm.", 0).finish()
    assert turn.heard(1000) == Heard("", True)


def test_a_turn_is_its_sentences_one_after_the_other() -> None:
    turn = spoken("We open at ten.")
    second = turn.begin("Anything else?", 4000)
    second.add(2000, (Word("Anything", 1000), Word("else", 2000)))
    second.finish()
    assert turn.heard(5000) == Heard("We open at ten. Anything", False)
    assert turn.heard(6000) == Heard("We open at ten. Anything else?", True)


MIXED = ["$5", "hello", "3.5", "**yes**", "the", "😀", "e.g.", "10:00", "km", "[our", "menu](http://x.com)"]


@given(st.lists(st.sampled_from([*MIXED, "+1 555 123 4567"]), min_size=1, max_size=12), st.booleans(), st.booleans())
@example(["hello", "😀", "hello", "hello"], True, True)
def test_what_is_heard_grows_word_by_word_and_nothing_is_heard_before_it_is_said(
    tokens: list[str], timed: bool, whole: bool
) -> None:
    text = " ".join(tokens)
    turn = spoken(text, timed, whole)
    said = said_words(text)
    heard = [turn.heard(played).text for played in range(0, said * WORD + 1, WORD // 2)]
    assert heard[0] == ""
    assert all(text.startswith(words) for words in heard)
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(heard))
    if timed:
        assert all(said_words(words) <= played // 2 for played, words in enumerate(heard))
        assert heard[-1] == (text if said else "")


def said_words(text: str) -> int:
    return len(SpokenText(RATE, "en").begin(text, 0).spoken.split())


def remembered(turn: SpokenText, saved_at: int = 0, waiting: str = "") -> TurnMemory:
    before, sentences = turn.memory(saved_at)
    return TurnMemory(sample_rate=RATE, language="en", before=before, sentences=sentences, waiting=waiting)


def two_sentences() -> SpokenText:
    turn = spoken("We open at ten.")
    sentence = turn.begin("It costs $5 now.", 4 * WORD)
    for end, word in enumerate(("It", "costs", "five", "dollars", "now"), 1):
        sentence.add(WORD, (Word(word, end * WORD),))
    sentence.finish()
    return turn


@pytest.mark.parametrize("saved_at", [0, 4 * WORD])
@pytest.mark.parametrize(
    ("played", "heard", "rest"),
    [
        (0, "", "We open at ten. It costs $5 now. Anything else?"),
        (2500, "We open", "at ten. It costs $5 now. Anything else?"),
        (4 * WORD, "We open at ten.", "It costs $5 now. Anything else?"),
        (7 * WORD, "We open at ten. It costs", "$5 now. Anything else?"),
        (9 * WORD, "We open at ten. It costs $5 now.", "Anything else?"),
    ],
)
def test_another_worker_knows_what_was_heard_and_what_was_not(
    saved_at: int, played: int, heard: str, rest: str
) -> None:
    turn = remembered(two_sentences(), saved_at, "Anything else?")
    assert recall(turn, max(played, saved_at)) == (heard, rest) or played < saved_at


def test_a_sentence_of_which_only_the_beginning_was_written_down_is_estimated() -> None:
    turn = SpokenText(RATE, "en")
    turn.begin("We open at ten o'clock in the morning.", 0)
    heard, rest = recall(remembered(turn), 2 * RATE)
    assert heard
    assert f"{heard} {rest}" == "We open at ten o'clock in the morning."


def test_a_sentence_counts_as_heard_when_a_later_one_was() -> None:
    """The voice named its words so that the last ones were not found."""
    turn = spoken("We open at ten.", whole=False)
    later = turn.begin("Come in.", 5 * WORD)
    later.add(2 * WORD, (Word("come", WORD), Word("in", 2 * WORD)))
    assert recall(remembered(turn), 6 * WORD) == ("We open at ten. Come", "in.")


def test_what_was_heard_before_an_earlier_takeover_is_part_of_the_turn() -> None:
    turn = remembered(spoken("at ten."))
    assert recall(replace(turn, before="We open"), WORD) == ("We open at", "ten.")
