"""Phonemes as eSpeak NG makes them of a sentence, and of its words alone."""

import pytest

from pipeline_worker.engines.piper.phoneme_alignment import ends_of_words


def words_of(sentence: str, *words: str) -> list[str]:
    """The sentence's phonemes, cut where its words end, without what follows the last sound."""
    begin, pieces = 0, []
    for end in ends_of_words(list(sentence), [list(word) for word in words]):
        pieces.append(sentence[begin:end].strip(" ,.?ˈˌ"))
        begin = end
    return pieces


@pytest.mark.parametrize(
    ("sentence", "words", "found"),
    [
        ("wiː hæv ɹˈuːm.", "wiː hæv ɹˈuːm.", "wiː hæv ɹˈuːm"),
        ("ɔnðə twˈɛnti fˈɜːst.", "ˈɔn ðə twˈɛnti_fˈɜːst.", "ɔn ðə twˈɛnti_fˈɜːst"),
        ("aɪɐm wˈʌn ʌvðə bˈɛst", "ˈaɪ æm wˌʌn ʌv ðə bˈɛst", "aɪ ɐm wˈʌn ʌv ðə bˈɛst"),
        ("æt sˈɛvən θˈɜːɾi pˌiːˈɛm.", "æt sˈɛvən_θˈɜːɾi pˌiːˈɛm.", "æt sˈɛvən_θˈɜːɾi pˌiːˈɛm"),
        ("ʌv ʌv ʌv", "ʌv ʌv ʌv", "ʌv ʌv ʌv"),
    ],
)
def test_joined_and_split_words_are_told_apart(sentence: str, words: str, found: str) -> None:
    alone = [word.replace("_", " ") for word in words.split()]
    assert words_of(sentence, *alone) == [word.replace("_", " ") for word in found.split()]


def test_the_same_number_of_other_words_is_not_taken_for_the_same_words() -> None:
    """ "Is it on the 2nd or the 22nd": two are joined, and one is split."""
    found = words_of(
        "ɪz ɪt ɔnðə sˈɛkənd ɔːɹ ðə twˈɛnti sˈɛkənd?",
        "ˈɪz",
        "ˈɪt",
        "ˈɔn",
        "ðə",
        "sˈɛkənd",
        "ɔːɹ",
        "ðə",
        "twˈɛnti sˈɛkənd?",
    )
    assert found == ["ɪz", "ɪt", "ɔn", "ðə", "sˈɛkənd", "ɔːɹ", "ðə", "twˈɛnti sˈɛkənd"]


def test_a_pause_is_not_part_of_the_word_before_it_and_a_long_vowel_is() -> None:
    assert ends_of_words(list("nˈoʊ, siː. "), [list("nˈoʊ, "), list("sˈiː.")]) == [4, 9]


def test_a_token_without_a_sound_ends_with_the_word_before_it() -> None:
    assert ends_of_words(list("ɐ bˈiː"), [[], list("ɐ"), [], list("bˈiː"), list("!")]) == [0, 1, 1, 6, 6]


@pytest.mark.parametrize(("sentence", "words"), [("", ["ab", "c"]), (".", ["ab"]), ("abc", []), ("ab cd", ["", ""])])
def test_aligning_nothing_is_not_an_error(sentence: str, words: list[str]) -> None:
    ends = ends_of_words(list(sentence), [list(word) for word in words])
    assert len(ends) == len(words)
    assert all(0 <= end <= len(sentence) for end in ends)


def test_ends_never_fall() -> None:
    sentence = "fˈɔːɹ tə fˈɔːɹɾi tˈuː ʌvðə sˈeɪm"
    ends = ends_of_words(list(sentence), [list(word) for word in ("tˈuː", "fˈɔːɹ", "sˈeɪm", "ʌv", "xyz", "tə")])
    assert ends == sorted(ends)
