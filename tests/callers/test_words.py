import pytest

from callers.words import contains, matches, words


def test_case_marks_and_accents_do_not_matter() -> None:
    assert words("It's a Café-time, isn’t it?") == ["its", "a", "cafe", "time", "isnt", "it"]


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [("open every day", True), ("Open, every DAY!", True), ("open day", False), ("pen every", False), ("", True)],
)
def test_contained_words_stand_concurrently(wanted: str, holds: bool) -> None:
    assert contains("We are open every day.", wanted) is holds


@pytest.mark.parametrize(
    ("wanted", "holds"), [("we open day", True), ("day open", False), ("open open", False), ("every day", True)]
)
def test_matching_words_are_there_in_order(wanted: str, holds: bool) -> None:
    assert matches("We are open every day.", wanted) is holds
