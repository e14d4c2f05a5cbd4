from pipeline_worker.engines.scripted.values.not_names import ALSO_NAMES, NOT_NAMES


def test_all_are_single_words_in_small_letters() -> None:
    assert [word for word in (*NOT_NAMES, *ALSO_NAMES) if word != word.lower() or len(word.split()) != 1] == []


def test_weekdays_numbers_and_what_is_booked_are_no_names_and_names_are_not_among_them() -> None:
    assert {"friday", "tomorrow", "seven", "table", "hungry", "please"} <= NOT_NAMES
    assert not NOT_NAMES & {"miller", "anna", "smith", "rossi", "jones"}


def test_some_words_are_names_as_well() -> None:
    assert "april" in ALSO_NAMES
