from shared.errors import ConfigError
from shared.io.fault import fault

WORD = "heliotrope"


def raised(error: BaseException) -> BaseException:
    try:
        try:
            raise KeyError(WORD)
        except KeyError as cause:
            raise error from cause
    except BaseException as caught:  # noqa: BLE001 - also groups
        return caught


def test_kinds_codes_causes_and_places_are_told_and_texts_are_not() -> None:
    told = fault(raised(ConfigError(f"no {WORD}")))
    first, _, cause = told.partition(", caused by ")
    assert first.startswith("ConfigError (bad_config) at ")
    assert cause.startswith("KeyError at ")
    assert told.count("test_fault.py:") == 2
    assert WORD not in told


def test_of_a_group_each_error_is_told() -> None:
    told = fault(raised(ExceptionGroup(WORD, [ValueError(WORD), ExceptionGroup(WORD, [TypeError(WORD)])])))
    assert told == "ValueError; also TypeError"
