import pytest

from pipeline_worker.engines.scripted.values.sentence import with_figures


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("half past seven", "half past 7"),
        ("twenty-one people", "21 people"),
        ("a table for Two", "a table for 2"),
        ("Anna Miller", "Anna Miller"),
        ("sevenish", "7 ish"),
        ("  two   of us ", "2 of us"),
        ("give me a second", "give me a second"),
        ("which one", "which one"),
        ("just the one", "just 1 person"),
        ("the first time", "the first time"),
        ("it’s four", "it's 4"),
        ("", ""),
    ],
)
def test_number_words_become_figures_where_they_are_numbers(text: str, figures: str) -> None:
    assert with_figures(text) == figures
