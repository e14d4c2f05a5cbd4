from tests.load.speech.hearing_delay import word_delays


def test_a_word_is_shown_by_the_first_text_that_is_as_long() -> None:
    interims = [(1.0, "I"), (2.0, "I would like"), (3.0, "I would like")]
    assert word_delays([0.5, 1.0, 1.75, 2.5], interims) == [0.5, 1.0, 0.25]


def test_without_interim_texts_no_word_is_shown() -> None:
    assert word_delays([0.5], []) == []
