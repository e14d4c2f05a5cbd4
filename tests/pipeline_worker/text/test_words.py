from pipeline_worker.text.words import same_words, words_of


def test_words_are_compared_without_marks_and_capitals() -> None:
    assert same_words("What’s the time, please?", "what's the time please")
    assert not same_words("a table for two", "a table for")
    assert words_of("Mm-hmm, it's 7:30!") == ["mm", "hmm", "it's", "7", "30"]
