import pytest

from tests.load.speech.word_errors import compared, word_errors


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("At half past seven.", "at 7:30"),
        ("seven thirty p.m.", "7:30 PM"),
        ("a quarter to eight", "7:45"),
        ("a quarter past nine", "9:15"),
        ("eight o'clock", "8 o'clock"),
        ("at eight", "at 8:00"),
        ("twelve dollars and fifty cents", "$12.50"),
        ("forty dollars", "$40"),
        ("sixty percent", "60%"),
        ("two hundred and fifty people", "250 people"),
        ("a thousand two hundred", "1,200"),
        ("nineteen eighty-four", "1984"),
        ("five five five, zero one nine eight", "555-0198"),
        ("the third of March", "the 3rd of March"),
        ("What's that? It’s gluten-free, okay.", "whats that its gluten free ok"),
    ],
)
def test_what_is_only_written_in_another_way_is_the_same(one: str, other: str) -> None:
    assert compared(one) == compared(other)


@pytest.mark.parametrize(("one", "other"), [("for two at seven", "for 3 at 7"), ("seven thirty", "seven thirteen")])
def test_other_figures_are_other_words(one: str, other: str) -> None:
    assert word_errors(compared(one), compared(other)) == 1


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("a table for two", "a table for two", 0),
        ("a table for two", "a cable for two", 1),
        ("a table for two", "table for two", 1),
        ("a table for two", "a little table for two", 1),
        ("a table for two", "", 4),
        ("", "you", 1),
        ("one two three", "two three four", 2),
    ],
)
def test_errors_are_the_fewest_edits(said: str, heard: str, errors: int) -> None:
    assert word_errors(said.split(), heard.split()) == errors
